"""Settings of one student.

small:  {from: prune/depth16, labels: lora, method: cached_logits, max_steps: 300, batch: 8}
wide:   {from: prune/half, teacher: finetune/lora, method: online, hidden_weight: 0.5, ...}
coarse: {from: prune/depth16, labels: lora, int4_group_size: 64, ...}
writer: {from: prune/depth16, teacher: finetune/lora, method: on_policy, temperature: 1, ...}
told:   {from: fetch/other, answers: large, method: text, ...}
"""

from typing import Any, Literal

from pydantic import Field, model_validator

from tasks.config import CandidateName, TrainingConfig, VariantName

Method = Literal["cached_logits", "online", "on_policy", "text"]
Divergence = Literal["forward_kl", "reverse_kl", "jensen_shannon"]

LEARNS_FROM = {
    "cached_logits": "labels",
    "online": "teacher",
    "on_policy": "teacher",
    "text": "answers",
}
"""The field that names what each method learns from."""

FOLDERS = {"labels": "data/labels", "teacher": "models", "answers": "data/answers"}

ONLY = {
    "divergence": ("cached_logits", "online", "on_policy"),
    "beta": ("cached_logits", "online", "on_policy"),
    "rest": ("cached_logits",),
    "temperature": ("cached_logits", "online", "on_policy"),
    "kl_weight": ("cached_logits", "online"),
    "hidden_weight": ("online",),
    "attention_weight": ("online",),
    "rows": ("online", "on_policy"),
    "unlabelled": ("on_policy",),
    "max_answer_tokens": ("on_policy",),
}
"""Fields that only some methods read."""


class DistillConfig(TrainingConfig):
    """A student learns what a teacher says (Hinton et al. 2015, arXiv:1503.02531)."""

    parent: CandidateName = Field(alias="from", description="Candidate to start from.")
    method: Method = Field(
        default="cached_logits",
        description="cached_logits: a teacher's stored logits. online: a teacher that runs beside "
        "the student. on_policy: the same, on the student's own answers. text: answers alone.",
    )
    labels: VariantName | None = Field(
        default=None, description="cached_logits: variant of label, whose logits to learn."
    )
    teacher: CandidateName | None = Field(
        default=None, description="online, on_policy: candidate to learn from."
    )
    answers: VariantName | None = Field(
        default=None, description="text: variant of ask, whose answers to learn."
    )
    divergence: Divergence = Field(
        default="forward_kl",
        description="forward_kl covers all that the teacher says, reverse_kl keeps to what it says "
        "most, jensen_shannon is between them.",
    )
    beta: float = Field(default=0.5, gt=0, lt=1, description="jensen_shannon: near 0 as forward.")
    rest: Literal["dropped", "one_token"] = Field(
        default="dropped",
        description="cached_logits: probability of tokens that were not stored: the others are "
        "scaled up to one, or it counts as that of one more token.",
    )
    temperature: float = Field(default=2.0, gt=0, le=20, description="Softens both distributions.")
    kl_weight: float = Field(default=0.67, ge=0, le=1, description="Share of the teacher's loss.")
    hidden_weight: float = Field(
        default=0.0, ge=0, le=100, description="online: of the distance of hidden states."
    )
    attention_weight: float = Field(
        default=0.0, ge=0, le=100, description="online: of the divergence of attention."
    )
    rows: int | None = Field(
        default=None, ge=1, description="online, on_policy: training rows; all when null."
    )
    unlabelled: int = Field(
        default=0,
        ge=0,
        description="on_policy: rows of prepare.max_unlabelled too, from the first; what the "
        "student answers needs no reference.",
    )
    max_answer_tokens: int = Field(
        default=32, ge=1, description="on_policy: longest answer that the student tries."
    )
    chat_template: str | None = Field(
        default=None,
        min_length=1,
        description="Jinja chat template that the student is trained and served with, where a "
        "shorter one than its parent's will do: a student needs no instructions.",
    )
    train_embeddings: bool = Field(
        default=False, description="Also train the embedding; a small student does well without."
    )
    int4_group_size: int | None = Field(
        default=None,
        ge=16,
        le=1024,
        description="Learn with weights rounded to 4 bits in groups of so many, as quantize with "
        "bits: 4 and this group_size rounds them; for the last points that 4 bits cost.",
    )
    reads: str | None = Field(
        default=None, description="Folder of what is learned from; filled in by a run."
    )

    @model_validator(mode="before")
    @classmethod
    def _tell_what_is_read(cls, given: Any) -> Any:
        """DVC has no conditions: it is told the folder that a student depends on."""
        if not isinstance(given, dict):
            return given
        source = LEARNS_FROM.get(str(given.get("method", "cached_logits")))
        name = given.get(source) if source else None
        return {**given, "reads": f"{FOLDERS[source]}/{name}"} if source and name else given

    @model_validator(mode="after")
    def _fits_its_method(self) -> "DistillConfig":
        source = LEARNS_FROM[self.method]
        for field in FOLDERS:
            if (getattr(self, field) is not None) != (field == source):
                raise ValueError(
                    f"method {self.method} learns from {source}: give it, and no other"
                )
        for field, methods in ONLY.items():
            default = type(self).model_fields[field].default
            if self.method not in methods and getattr(self, field) != default:
                raise ValueError(f"{field} is for {', '.join(methods)}: leave it out")
        scaled_up = self.method == "cached_logits" and self.rest == "dropped"
        if scaled_up and self.divergence != "forward_kl":
            raise ValueError(f"{self.divergence} of stored logits needs rest: one_token")
        if self.teacher == self.parent:
            raise ValueError("a student that starts as its teacher has nothing to learn from it")
        if self.chat_template is not None and self._reads_as_its_teacher:
            raise ValueError(
                "on_policy, hidden_weight and attention_weight need one prompt for teacher and "
                "student: leave chat_template out"
            )
        return self

    @property
    def _reads_as_its_teacher(self) -> bool:
        matched = self.hidden_weight > 0 or self.attention_weight > 0
        return self.method == "on_policy" or matched
