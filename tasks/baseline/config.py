"""Cheap rivals that any model must beat to be worth its cost.

tfidf: {method: tfidf}
"""

from typing import Literal

from pydantic import Field

from tasks.config import Config


class BaselineConfig(Config):
    """A classical classifier, trained on all training rows."""

    method: Literal["tfidf"] = Field(description="TF-IDF and logistic regression.")
    max_ngram: int = Field(default=2, ge=1, le=5, description="Longest run of words.")
    regularization: float = Field(default=4.0, gt=0, description="Inverse of its strength, C.")
