"""Which candidates are evaluated, and how their cost is measured.

evaluate:
  measure: {concurrency: 16, repeats: 3, price_per_hour: 0.08}
  candidates:
    teacher-fp32: {candidate: quantize/teacher-fp32, engine: openvino, role: teacher}
    small-int8: {candidate: quantize/small-int8, engine: openvino, role: candidate}
"""

from typing import Literal

from pydantic import Field

from bentos.generator.engine import Kind
from tasks.config import CandidateName, Config, VariantName
from tasks.measure import MeasureConfig


class EntryConfig(Config):
    """One thing that is evaluated."""

    candidate: CandidateName = Field(description="Whose weights.")
    engine: Kind = Field(description="What runs them.")
    role: Literal["teacher", "champion", "candidate", "baseline"] = Field(
        default="candidate",
        description="teacher: the one that all must match; champion: the release in use, which a "
        "new one must beat; candidate: may take their place; baseline: shown only.",
    )
    rows: int | None = Field(default=None, ge=1, description="Validation rows; all when null.")
    confidence: bool = Field(
        default=False, description="Ask how sure the model is, as a router does; it costs a little."
    )


class EvaluateConfig(Config):
    """Everything that is compared."""

    measure: MeasureConfig
    candidates: dict[VariantName, EntryConfig] = Field(min_length=1)
