"""Settings of one collection of answers.

large: {teacher: large, rows: 2000, samples: 5, temperature: 0.7, filter: agreement, max_cost: 4}
"""

from typing import Literal

from pydantic import Field, model_validator

from tasks.config import Config, VariantName


class AskConfig(Config):
    """What a model elsewhere is asked, once, for all the students that will learn from it."""

    teacher: VariantName = Field(description="Entry of remote: the model that answers.")
    rows: int = Field(ge=1, description="Training rows, from the first.")
    unlabelled: int = Field(
        default=0, ge=0, description="Rows of prepare.max_unlabelled too, from the first."
    )
    samples: int = Field(default=1, ge=1, le=64, description="Answers drawn to each request.")
    temperature: float = Field(default=0.0, ge=0, le=2, description="Of the drawing.")
    filter: Literal["none", "reference", "agreement"] = Field(
        default="none",
        description="Which answer is kept: the first; the one nearest to the row's reference; or "
        "the one that the others agree with most, which needs no reference.",
    )
    min_score: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="reference, agreement: by the task's metric; a row without such an answer is "
        "left out.",
    )
    max_cost: float | None = Field(
        default=None,
        gt=0,
        description="In the currency of evaluate.measure, what was paid before included; never "
        "exceeded. No limit when null.",
    )

    @model_validator(mode="after")
    def _samples_differ(self) -> "AskConfig":
        if (self.samples > 1) != (self.temperature > 0):
            raise ValueError("several samples need a temperature above 0, one needs 0")
        if self.filter == "reference" and self.unlabelled:
            raise ValueError("filter reference: unlabelled rows have none; use agreement or none")
        if self.filter == "agreement" and self.samples < 3:
            raise ValueError("filter agreement needs samples: 3 or more")
        return self
