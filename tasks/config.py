"""What every stage's config.py is made of.

task:
  kind: classification
  labels: [negative, positive]
  input_fields: [text]
  prompt: {system: "Is this movie review positive or negative?", user: "{text}"}
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from bentos.generator.decoding import Decoding
from bentos.generator.prompt import PromptTemplate

CandidateName = Annotated[str, StringConstraints(pattern=r"^[a-z]+/[a-z0-9][a-z0-9-]*$")]
"""`<stage>/<variant>`, for example `finetune/lora`."""

VariantName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]
"""Name of one variant of a stage, for example `small-int8`."""


class Config(BaseModel):
    """Frozen, and no field goes unread: a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


Kind = Literal["classification", "extraction", "translation", "summarization", "chat"]
"""Shape of the answer: a label, JSON, a text in another language, a shorter text, any text."""

METRICS: Final[Mapping[Kind, tuple[str, ...]]] = {
    "classification": ("accuracy", "macro_f1"),
    "extraction": ("field_f1", "exact_match", "json_validity"),
    "translation": ("chrf", "corpus_chrf", "bleu", "exact_match"),
    "summarization": ("rouge_l", "rouge_1", "rouge_2", "chrf"),
    "chat": ("chrf", "rouge_l", "exact_match"),
}
"""What is reported of each kind of task; the first is its metric unless the workload names one."""

CORPUS_METRICS: Final = ("macro_f1", "bleu", "corpus_chrf")
"""Of these, only all answers together have a score: two models cannot be compared by the answer."""


class Task(Config):
    """What the model is asked and how its answer is judged."""

    kind: Kind = Field(description="Shape of the answer.")
    labels: tuple[str, ...] = Field(
        default=(), description="Every answer there is; for classification, and for nothing else."
    )
    answer_schema: dict[str, Any] | None = Field(
        default=None, description="JSON schema of an answer; for extraction, and for nothing else."
    )
    input_fields: tuple[str, ...] = Field(
        default=(), description="Fields of a request; none where rows hold whole conversations."
    )
    prompt: PromptTemplate | None = Field(
        default=None,
        description="Messages that the fields become; none where rows hold whole conversations.",
    )
    max_answer_tokens: int = Field(default=16, ge=1, le=32768, description="Longest answer.")
    beams: int = Field(
        default=1,
        ge=1,
        le=8,
        description="Beginnings that are kept at each token (beam search), for text alone: dearer, "
        "perhaps better. Not with the engine vllm, nor for candidates that tell a confidence.",
    )
    metric: str | None = Field(
        default=None,
        description="Quality, 0 to 1, that candidates are compared by: a name of the kind's "
        "metrics, or module:function of the workload's folder. By default the kind's first.",
    )
    metric_sha256: str | None = Field(
        default=None, description="Of the file of a metric of one's own; set by a run."
    )
    slices: tuple[str, ...] = Field(
        default=(),
        description="Fields of the records' metadata by which quality is told apart, for example "
        "language.",
    )

    @model_validator(mode="after")
    def _fits_its_kind(self) -> "Task":
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels must differ from each other")
        if (self.kind == "classification") != (len(self.labels) >= 2):
            raise ValueError("labels: at least two for classification, none for other kinds")
        if (self.kind == "extraction") != (self.answer_schema is not None):
            raise ValueError("answer_schema: for extraction, and for nothing else")
        if (self.prompt is None) != (not self.input_fields):
            raise ValueError("give prompt and input_fields together, or neither")
        if self.beams > 1 and (self.labels or self.answer_schema):
            raise ValueError("beams: for text; labels and JSON are not searched for")
        able = [name for name in METRICS[self.kind] if name not in CORPUS_METRICS]
        if self.metric and ":" not in self.metric and self.metric not in able:
            raise ValueError(f"metric: one of {', '.join(able)}, or module:function")
        return self

    @property
    def primary_metric(self) -> str:
        """The metric that candidates are compared by."""
        return self.metric or METRICS[self.kind][0]

    @property
    def further_metrics(self) -> tuple[str, ...]:
        """The kind's metrics beside the primary one."""
        return tuple(name for name in METRICS[self.kind] if name != self.primary_metric)

    def decoding(self) -> Decoding:
        """Likeliest first; of a classification only the labels can come out."""
        return Decoding(
            max_new_tokens=self.max_answer_tokens, choices=self.labels or None, beams=self.beams
        )


class TrainingConfig(Config):
    """What every training is told: how long, in which steps, and which checkpoint is the best."""

    learning_rate: float = Field(default=2e-4, gt=0, le=0.1, description="Peak learning rate.")
    warmup_steps: int = Field(default=10, ge=0, description="Steps of rising learning rate.")
    batch: int = Field(default=8, ge=1, description="Examples per optimizer step.")
    max_steps: int = Field(ge=1, description="Optimizer steps.")
    validation_rows: int = Field(default=128, ge=1, description="Rows that pick the checkpoint.")
    checkpoints: int = Field(default=4, ge=1, le=50, description="How many to choose from.")
    seed: int = Field(default=0, ge=0, description="Order of data and initial values.")

    @property
    def checkpoint_steps(self) -> int:
        """Steps between two checkpoints."""
        return max(1, self.max_steps // self.checkpoints)
