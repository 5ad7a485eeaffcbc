"""TF-IDF and logistic regression: `python -m tasks.baseline tfidf`."""

from collections.abc import Sequence

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from tasks.baseline.config import BaselineConfig
from tasks.baseline.text import Answer, text
from tasks.records import Record


def tfidf(config: BaselineConfig, train: Sequence[Record]) -> Answer:
    """The trained classifier."""
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, config.max_ngram), sublinear_tf=True),
        LogisticRegression(C=config.regularization, max_iter=1000),
    )
    model.fit([text(row) for row in train], [row.reference for row in train])
    return lambda row: str(model.predict([text(row)])[0])
