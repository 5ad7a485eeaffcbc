"""What a candidate must show before it may take the teacher's place.

gate: {teacher: lora-fp32, margin: 0.03, max_cost_ratio: 0.1667, cost_references: [lora-int8]}
"""

from pydantic import Field, model_validator

from tasks.config import Config, VariantName


class LedgerConfig(Config):
    """What the ledger cannot measure; prices are in the currency of evaluate.measure."""

    escalation_share: float = Field(
        default=0.0, ge=0, le=1, description="Requests that the teacher answers after all."
    )
    router_per_1000: float = Field(default=0.0, ge=0, description="Router, 1,000 requests.")
    judge_per_1000: float = Field(default=0.0, ge=0, description="Judge, 1,000 requests.")
    labels_price: float = Field(default=0.0, ge=0, description="Paid to others for labels.")
    training_price_per_hour: float | None = Field(
        default=None, gt=0, description="Of the machine that trains; null: the one that serves."
    )
    requests_per_month: float | None = Field(
        default=None, gt=0, description="Expected; tells after how many months a saving pays."
    )


class GateConfig(Config):
    """Limits of the gate, agreed before anything is measured."""

    teacher: VariantName = Field(description="Entry of evaluate.candidates in use today.")
    margin: float = Field(
        gt=0, le=0.5, description="How much less accurate the candidate may be, as a share."
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
    cost_references: tuple[VariantName, ...] = Field(
        default=(), description="Evaluated entries whose cost is set beside the chosen one's."
    )

    ledger: LedgerConfig = LedgerConfig()

    @model_validator(mode="after")
    def _references_differ(self) -> "GateConfig":
        if len(set(self.cost_references)) != len(self.cost_references):
            raise ValueError("cost_references must differ from each other")
        return self
