"""TF-IDF and logistic regression: `python -m tasks.baseline tfidf`.

Answers one request at a time, as a service without batching would.
"""

import time
from typing import Any

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from tasks import evaluation_report as facts
from tasks import paths, records
from tasks.baseline.config import BaselineConfig
from tasks.config import Task
from tasks.measure import MeasureConfig
from tasks.metrics.choose import scorer
from tasks.records import Prediction, Record


def evaluate(
    name: str, config: BaselineConfig, measure: MeasureConfig, task: Task
) -> tuple[list[Prediction], dict[str, Any]]:
    """Train, then answer the validation rows; returns predictions and the report."""
    train = records.read(paths.TRAIN, Record)
    rows = records.read(paths.VALIDATION, Record)
    started = time.perf_counter()
    model = fit(config, train)
    trained = time.perf_counter() - started
    predictions, latencies, score = [], [], scorer(task.primary_metric, task)
    for row in rows:
        sent = time.perf_counter()
        answer = str(model.predict([text(row)])[0])
        latencies.append(time.perf_counter() - sent)
        predictions.append(
            Prediction(
                id=row.id,
                reference=row.reference,
                answer=answer,
                score=score(answer, row.reference),
                metadata=row.metadata,
            )
        )
    share = max(1, len(latencies) // measure.repeats)
    shares = [
        latencies[start : start + share] for start in range(0, share * measure.repeats, share)
    ]
    load = facts.Load(
        1, [len(part) / sum(part) for part in shares if part], latencies, None, trained
    )
    report = {
        "name": name,
        "candidate": None,
        "engine": "sklearn",
        "role": "baseline",
        **facts.quality(predictions, task),
        "performance": facts.performance(load),
        "cost": facts.cost(load, measure),
        "size_mb": None,
        "model_hash": None,
        "hardware": facts.hardware(),
        "training_rows": len(train),
    }
    return predictions, report


def fit(config: BaselineConfig, rows: list[Record]) -> Pipeline:
    """The trained classifier."""
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, config.max_ngram), sublinear_tf=True),
        LogisticRegression(C=config.regularization, max_iter=1000),
    )
    return model.fit([text(row) for row in rows], [row.reference for row in rows])


def text(row: Record) -> str:
    """All input fields, one a line; of a conversation all messages."""
    if not row.fields:
        return "\n".join(message["content"] for message in row.messages)
    return "\n".join(row.fields[field] for field in sorted(row.fields))
