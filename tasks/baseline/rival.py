"""A baseline's answers, quality and cost: `python -m tasks.baseline tfidf`.

Answers one request at a time, as a service without batching would.
"""

import time
from typing import Any, assert_never

from tasks import evaluation_report as facts
from tasks import paths, records
from tasks.baseline.config import BaselineConfig
from tasks.baseline.text import Answer, copy, lead
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
    answer = _trained(config, train)
    trained = time.perf_counter() - started
    predictions, latencies, score = [], [], scorer(task.primary_metric, task)
    for row in rows:
        sent = time.perf_counter()
        said = answer(row)
        latencies.append(time.perf_counter() - sent)
        predictions.append(
            Prediction(
                id=row.id,
                reference=row.reference,
                answer=said,
                score=score(said, row.reference),
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
        "engine": "sklearn" if config.method == "tfidf" else "python",
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


def _trained(config: BaselineConfig, train: list[Record]) -> Answer:
    match config.method:
        case "tfidf":
            from tasks.baseline.tfidf import tfidf

            return tfidf(config, train)
        case "copy":
            return copy(config, train)
        case "lead":
            return lead(config, train)
        case _:
            assert_never(config.method)
