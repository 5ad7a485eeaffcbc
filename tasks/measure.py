"""How cost is measured, for everything that is evaluated.

measure: {concurrency: 16, repeats: 3, seconds: 4, price_per_hour: 0.08}
measure: {concurrency: 16, load_curve: [1, 4, 32], p95_ms: 500, price_per_hour: 0.08}
measure: {arrivals: random, load_curve: [1, 4, 32], p95_ms: 500, price_per_hour: 0.08}
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tasks.config import Config

Concurrency = Annotated[int, Field(ge=1, le=1024)]


class MeasureConfig(Config):
    """The load and the machine's price."""

    through: Literal["service", "engine"] = Field(
        default="engine",
        description="What is asked. service: the Bento's, over HTTP, which is part of what a "
        "request costs; engine: the engine alone.",
    )
    arrivals: Literal["steady", "random"] = Field(
        default="steady",
        description="steady: a fixed number of clients, each with a request in flight; random: at "
        "random moments (a Poisson process), as those of many clients who know nothing of each "
        "other. Priced is then the highest rate of arrivals within p95_ms.",
    )
    concurrency: Concurrency = Field(
        default=16, description="Requests in flight; the load that is priced, without p95_ms."
    )
    load_curve: tuple[Concurrency, ...] = Field(
        default=(), description="Further numbers of requests in flight that are tried briefly."
    )
    load_curve_requests: int = Field(
        default=16, ge=1, description="Asked at each of them, but at least twice that many."
    )
    p95_ms: float | None = Field(
        default=None,
        gt=0,
        description="Service level: 95% of requests are answered within so many milliseconds. "
        "Priced is the highest load within it, of load_curve and concurrency.",
    )
    repeats: int = Field(default=3, ge=1, le=100, description="Measurements of throughput.")
    rounds: int = Field(
        default=4,
        ge=1,
        le=100,
        description="Requests that each client makes in one steady measurement, at least: with "
        "fewer, its start and end, when not all are at work, weigh most. Rows may come again.",
    )
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

    @model_validator(mode="after")
    def _loads_differ(self) -> "MeasureConfig":
        if len({*self.load_curve, self.concurrency}) != len(self.load_curve) + 1:
            raise ValueError("load_curve: numbers that differ from each other and from concurrency")
        if self.p95_ms is not None and not self.load_curve:
            raise ValueError(
                "p95_ms: give load_curve too, for example [1, 4, 8], to look for the load within it"
            )
        if self.arrivals == "random" and self.p95_ms is None:
            raise ValueError("arrivals: random needs p95_ms, or no rate of them is too high")
        return self

    @property
    def loads(self) -> list[int]:
        """Every number of requests in flight that is tried, ascending."""
        return sorted({*self.load_curve, self.concurrency})
