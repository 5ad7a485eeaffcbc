"""Settings of one fine-tuned variant.

lora: {from: fetch/base, rank: 16, max_steps: 240, batch: 8, learning_rate: 5.0e-4}
small: {from: prune/depth16, method: full, max_steps: 240, learning_rate: 5.0e-5}
told:  {from: fetch/base, answers: large, max_steps: 240}
"""

from typing import Any, Literal

from pydantic import Field, model_validator

from tasks.config import CandidateName, Config, TrainingConfig, VariantName


class ReplayConfig(Config):
    """General conversations among the task's examples, so that a model forgets less."""

    file: str = Field(
        min_length=1,
        description='JSONL, each line {"messages": [...]} in OpenAI\'s form, the answer last.',
    )
    sha256: str | None = Field(default=None, description="Of the file; set by a run.")
    share: float = Field(default=0.2, gt=0, lt=1, description="Of all examples, these.")
    max_tokens: int = Field(default=512, ge=2, description="Longer conversations are left out.")
    held_out: int = Field(
        default=32, ge=1, description="Conversations kept back, to tell what was forgotten."
    )


class SearchConfig(Config):
    """A search for learning rate and rank before training, by short trials."""

    learning_rate: tuple[float, float] | None = Field(
        default=None, description="Least and greatest that is tried."
    )
    ranks: tuple[int, ...] = Field(
        default=(), description="Ranks that are tried; alpha keeps its ratio to the rank."
    )
    trials: int = Field(default=12, ge=2, le=1000, description="Trials at most.")
    steps: int = Field(ge=1, description="Optimizer steps of a trial.")
    checkpoints: int = Field(
        default=4, ge=1, le=50, description="Moments of a trial when a poor one is given up."
    )
    max_minutes: float | None = Field(
        default=None, gt=0, description="After these no further trial begins."
    )

    @model_validator(mode="after")
    def _has_a_space(self) -> "SearchConfig":
        if self.learning_rate is None and not self.ranks:
            raise ValueError("give learning_rate, for example [1.0e-5, 1.0e-3], or ranks, or both")
        if self.learning_rate is not None:
            low, high = self.learning_rate
            if not 0 < low < high <= 0.1:
                raise ValueError("learning_rate: two numbers above 0, ascending, at most 0.1")
        if len(set(self.ranks)) != len(self.ranks) or not all(1 <= r <= 256 for r in self.ranks):
            raise ValueError("ranks: numbers from 1 to 256 that differ from each other")
        return self


class FinetuneConfig(TrainingConfig):
    """A candidate learns the task from reference answers, or from those of a model elsewhere."""

    parent: CandidateName = Field(alias="from", description="Candidate to tune.")
    method: Literal["lora", "qlora", "full"] = Field(
        default="lora",
        description="lora: a low-rank update of every linear layer of the blocks (Hu et al. 2021, "
        "arXiv:2106.09685); qlora: the same beside weights in 4 bits, on a GPU (Dettmers et al. "
        "2023, arXiv:2305.14314); full: every weight, for small models.",
    )
    answers: VariantName | None = Field(
        default=None,
        description="Variant of ask, whose answers to learn in place of the training references.",
    )
    rank: int = Field(default=16, ge=1, le=256, description="Rank of the update.")
    alpha: int = Field(default=32, ge=1, le=512, description="Scale of the update, over rank.")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Dropout on the update's input.")
    rslora: bool = Field(
        default=False,
        description="Scale by alpha over the rank's root, so that high ranks learn too "
        "(Kalajdzievski 2023, arXiv:2312.03732).",
    )
    dora: bool = Field(
        default=False,
        description="Train the length of each row of weights apart from its direction (Liu et al. "
        "2024, arXiv:2402.09353).",
    )
    packed_tokens: int | None = Field(
        default=None,
        ge=1,
        description="Lay a batch's examples end to end, in rows of so many tokens, instead of "
        "padding each; none sees another. For a GPU and lengths that differ much.",
    )
    micro_batch: int | None = Field(
        default=None,
        ge=1,
        description="Rows of a batch that go through the model at once; without it, as many as "
        "memory holds. Results are those of the whole batch.",
    )
    gradient_checkpointing: bool = Field(
        default=False,
        description="Compute activations twice instead of keeping them. Without it that is done "
        "only where memory holds not a single row.",
    )
    replay: ReplayConfig | None = Field(default=None, description="Against forgetting.")
    search: SearchConfig | None = Field(
        default=None, description="Choose learning rate and rank first."
    )

    reads: str | None = Field(
        default=None, description="Folder or file of what is learned; filled in by a run."
    )

    @model_validator(mode="before")
    @classmethod
    def _tell_what_is_read(cls, given: Any) -> Any:
        """DVC has no conditions: it is told what a variant depends on."""
        if not isinstance(given, dict):
            return given
        name = given.get("answers")
        reads = f"data/answers/{name}" if name else "data/prepared/train.jsonl"
        return {**given, "reads": reads}

    @model_validator(mode="after")
    def _fits_its_method(self) -> "FinetuneConfig":
        if self.method == "full" and (self.rslora or self.dora):
            raise ValueError("rslora and dora are kinds of low-rank updates: not with method full")
        if self.method == "full" and self.search is not None and self.search.ranks:
            raise ValueError("search.ranks: method full has no rank; search learning_rate alone")
        return self
