"""What one process of a service bears.

Limits(concurrent_requests=64, answer_seconds=30)
"""

from pydantic import BaseModel, ConfigDict, Field


class Limits(BaseModel):
    """What one service process bears."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    concurrent_requests: int = Field(
        default=256, ge=1, le=10_000, description="Inside at once; others are told to come again."
    )
    body_bytes: int = Field(default=1_000_000, ge=1_000, description="Largest request, bytes.")
    body_seconds: float = Field(default=10, gt=0, description="In which a request has come, s.")
    answer_seconds: float = Field(default=120, gt=0, description="For a whole answer, s.")
    answer_tokens: int = Field(
        default=32768,
        ge=1,
        le=32768,
        description="Longest answer that a request may ask for, tokens; a longer one is cut off.",
    )
