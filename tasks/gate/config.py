"""What a candidate must show before it may take the teacher's place.

gate: {teacher: lora-fp32, margin: 0.03, max_cost_ratio: 0.1667, cost_references: [lora-int8]}
"""

from pydantic import Field, model_validator

from tasks.config import Config, VariantName


class JudgeConfig(Config):
    """A model behind an OpenAI-compatible API that is asked which of two answers is better."""

    base_url: str = Field(pattern=r"^https?://", description="Of the API, up to /v1.")
    model: str = Field(min_length=1, description="Its name there.")
    api_key_env: str | None = Field(
        default=None,
        pattern=r"^[A-Z][A-Z0-9_]*$",
        description="Environment variable that holds the key; none where no key is asked for.",
    )
    rows: int = Field(
        default=100, ge=1, le=10_000, description="Validation items; each costs two requests."
    )
    concurrency: int = Field(default=4, ge=1, le=64, description="Requests in flight.")


class LedgerConfig(Config):
    """What the ledger cannot measure; prices are in the currency of evaluate.measure."""

    escalation_share: float = Field(
        default=0.0, ge=0, le=1, description="Requests that the teacher answers after all."
    )
    router_per_1000: float = Field(default=0.0, ge=0, description="Router, 1,000 requests.")
    judge_per_1000: float = Field(default=0.0, ge=0, description="Judge, 1,000 requests.")
    labels_price: float = Field(
        default=0.0, ge=0, description="Paid to others for labels, beside what ask paid."
    )
    training_price_per_hour: float | None = Field(
        default=None, gt=0, description="Of the machine that trains; null: the one that serves."
    )
    requests_per_month: float | None = Field(
        default=None, gt=0, description="Expected; tells after how many months a saving pays."
    )


class GateConfig(Config):
    """Limits of the gate, agreed before anything is measured."""

    teacher: VariantName = Field(description="Entry of evaluate.candidates in use today.")
    champion: VariantName | None = Field(
        default=None,
        description="Entry of evaluate.candidates that serves now; a run sets it where the "
        "registry has a champion.",
    )
    margin: float = Field(
        gt=0, le=0.5, description="How much less accurate the candidate may be, as a share."
    )
    guards: dict[str, float] = Field(
        default={},
        description="Further metrics of the task, each with how much worse the candidate may be.",
    )
    slice_margin: float | None = Field(
        default=None,
        gt=0,
        le=0.5,
        description="A candidate fails that is shown to be worse by more in any of task.slices.",
    )
    judge: JudgeConfig | None = Field(
        default=None, description="Whose opinion of teacher and candidate is reported as well."
    )
    confidence: float = Field(
        default=0.95, ge=0.8, le=0.999, description="Of every interval and of the one-sided test."
    )
    max_cost_ratio: float = Field(
        gt=0, le=1, description="Candidate's cost divided by the teacher's, at most."
    )
    min_pass_probability: float = Field(
        default=0.8,
        ge=0.5,
        le=0.99,
        description="Chance of passing the locked test, judged on validation, to be put to it.",
    )
    max_looks: int = Field(
        default=5,
        ge=1,
        le=100,
        description="Looks at one locked test, over all runs, before it should be refreshed.",
    )
    cost_references: tuple[VariantName, ...] = Field(
        default=(), description="Evaluated entries whose cost is set beside the chosen one's."
    )

    ledger: LedgerConfig = LedgerConfig()

    @model_validator(mode="after")
    def _guards_have_margins(self) -> "GateConfig":
        wrong = [name for name, margin in self.guards.items() if not 0 < margin <= 0.5]
        if wrong:
            raise ValueError(f"guards: the margin of {', '.join(wrong)} must lie in 0..0.5")
        return self

    @model_validator(mode="after")
    def _references_differ(self) -> "GateConfig":
        if len(set(self.cost_references)) != len(self.cost_references):
            raise ValueError("cost_references must differ from each other")
        return self
