"""Cheap rivals that any model must beat to be worth its cost.

tfidf: {method: tfidf}
copy: {method: copy}
lead: {method: lead}
"""

from typing import Literal

from pydantic import Field, model_validator

from tasks.config import Config


class BaselineConfig(Config):
    """An answer without a language model."""

    method: Literal["tfidf", "copy", "lead"] = Field(
        description="tfidf: a classifier, TF-IDF and logistic regression, trained on all training "
        "rows. copy: the input as it stands. lead: the input's first words."
    )
    max_ngram: int = Field(default=2, ge=1, le=5, description="tfidf: longest run of words.")
    regularization: float = Field(default=4.0, gt=0, description="tfidf: C.")
    words: int | None = Field(
        default=None,
        ge=1,
        description="lead: how many; without it, what the median training reference has.",
    )

    @model_validator(mode="after")
    def _fits_its_method(self) -> "BaselineConfig":
        if self.words is not None and self.method != "lead":
            raise ValueError("words: only for method lead")
        return self
