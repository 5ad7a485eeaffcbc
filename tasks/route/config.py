"""Routers: which models, and how good the answers must stay.

route:
  cascade: {models: [small-int8, teacher], floor: 0.98, confidence: 0.95, valid_days: 90}

Models are entries of evaluate.candidates, the cheapest first; the last one is what the others'
answers are held against. The router keeps at least `floor` of its quality, with that confidence.
"""

from typing import Annotated

from pydantic import Field, model_validator

from tasks.config import Config, VariantName


class RouteConfig(Config):
    """One cascade of models."""

    models: Annotated[tuple[VariantName, ...], Field(min_length=2, max_length=8)] = Field(
        description="Entries of evaluate.candidates, the cheapest first."
    )
    floor: float = Field(
        default=0.98, gt=0, le=1, description="Share of the last model's quality that is kept."
    )
    confidence: float = Field(
        default=0.95, ge=0.5, lt=1, description="With which the floor is kept."
    )
    calibration_share: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        description="Of the validation rows; the others tell what the router is worth.",
    )
    predictor_share: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Of the validation rows, from which to learn which requests go to the last "
        "model at once; 0 learns nothing.",
    )
    overhead_per_1000: float = Field(
        default=0.0, ge=0, description="What routing itself costs, per 1,000 requests."
    )
    valid_days: int = Field(default=90, ge=1, le=3650, description="Then calibrate again.")

    @model_validator(mode="after")
    def _models_differ(self) -> "RouteConfig":
        if len(set(self.models)) < len(self.models):
            raise ValueError("models: each stands there once")
        return self
