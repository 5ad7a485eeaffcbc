"""How raw rows become training, validation and locked test records.

prepare:
  fields: {text: text}
  reference: {column: rating, bins: {negative: [null, -1.0], positive: [1.0, null]}}
  split: {validation: 0.1, test: 0.2, salt: stillhouse}
  max_test: 1500
"""

import math
from itertools import pairwise

from pydantic import Field, field_validator, model_validator

from tasks.config import Config

Bounds = tuple[float | None, float | None]


class Reference(Config):
    """Where the wanted answer stands and what it is called."""

    column: str = Field(min_length=1, description="Raw column.")
    bins: dict[str, Bounds] | None = Field(
        default=None,
        description="Label by number: [low, high] holds low <= x < high; null is no bound. Rows "
        "in no bin are left out and counted.",
    )
    mapping: dict[str, str] | None = Field(
        default=None, description="Label by raw value, as text. Without it the value is the label."
    )

    @field_validator("bins")
    @classmethod
    def _bins_do_not_overlap(cls, value: dict[str, Bounds] | None) -> dict[str, Bounds] | None:
        spans = sorted(
            (
                -math.inf if low is None else low,
                math.inf if high is None else high,
                label,
            )
            for label, (low, high) in (value or {}).items()
        )
        for low, high, label in spans:
            if not low < high:
                raise ValueError(f"bin {label}: the lower bound must be below the upper one")
        for (_, high, left), (low, _, right) in pairwise(spans):
            if low < high:
                raise ValueError(f"bins {left} and {right} overlap; move a bound")
        return value

    @model_validator(mode="after")
    def _one_way_to_a_label(self) -> "Reference":
        if self.bins is not None and self.mapping is not None:
            raise ValueError("give bins or mapping, not both")
        return self


class Split(Config):
    """Shares of the groups; the rest is for training."""

    validation: float = Field(default=0.1, gt=0, lt=1, description="Share of all groups.")
    test: float = Field(default=0.2, gt=0, lt=1, description="Share of all groups, locked.")
    salt: str = Field(
        default="stillhouse", min_length=1, description="Another salt gives another split."
    )

    @model_validator(mode="after")
    def _something_is_left(self) -> "Split":
        if self.validation + self.test >= 1:
            raise ValueError("validation + test must be below 1; training needs rows too")
        return self


class Prepare(Config):
    """The section `prepare`."""

    fields: dict[str, str] = Field(min_length=1, description="Raw column of each input field.")
    reference: Reference
    group_column: str | None = Field(
        default=None, description="Rows of one group share a split; by default each text is one."
    )
    near_duplicate_similarity: float = Field(
        default=0.8,
        gt=0.3,
        le=1,
        description="Jaccard similarity of 5-character pieces from which two texts count as one.",
    )
    split: Split = Split()
    max_train: int | None = Field(default=None, ge=1, description="Records kept, by hash.")
    max_validation: int | None = Field(default=600, ge=1, description="Records kept, by hash.")
    max_test: int | None = Field(default=1500, ge=1, description="Records kept, by hash.")
    max_prompt_tokens: int = Field(
        default=512, ge=1, description="Longer prompts go to the quarantine."
    )
