"""How cost is measured, for everything that is evaluated.

measure: {concurrency: 16, repeats: 3, seconds: 4, price_per_hour: 0.08}
"""

from pydantic import Field

from tasks.config import Config


class MeasureConfig(Config):
    """The load and the machine's price."""

    concurrency: int = Field(default=16, ge=1, le=1024, description="Requests in flight.")
    repeats: int = Field(default=3, ge=1, le=100, description="Measurements of throughput.")
    seconds: float = Field(
        default=4.0,
        ge=0,
        le=3600,
        description="Shortest measurement: where all requests of one are answered sooner, they "
        "are asked again.",
    )
    warmup_requests: int = Field(default=16, ge=0, description="Asked first, not counted.")
    price_per_hour: float = Field(gt=0, description="Of the machine that serves, per hour.")
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$", description="ISO 4217 code.")
