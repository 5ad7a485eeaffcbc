"""Quality and cost of one candidate in the engine that serves it.

    python -m tasks.evaluate small-int8

One pass over the validation rows gives both: answers for quality; and throughput, measured once
for each of `repeats` equal shares of the rows, for cost. A share that a fast model answers in less
than `seconds` is asked again: a second of a busy machine says little.
"""

import itertools
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from bentos.generator.engine import load_engine
from tasks import candidate, paths, records
from tasks import evaluation_report as facts
from tasks.config import Task
from tasks.errors import DataError
from tasks.evaluate.config import EntryConfig
from tasks.measure import MeasureConfig
from tasks.records import Prediction, Record
from tasks.scoring import Answers, answer_all


def evaluate(
    name: str, entry: EntryConfig, measure: MeasureConfig, task: Task
) -> tuple[list[Prediction], dict[str, Any]]:
    """Predictions on the validation rows, and the report.

    Raises:
        DataError: fewer rows than repeats.
    """
    rows = records.read(paths.VALIDATION, Record)[: entry.rows]
    shares = split(rows, measure.repeats)
    folder = paths.candidate(entry.candidate)
    started = time.perf_counter()
    engine = load_engine(entry.engine, folder)
    load_seconds = time.perf_counter() - started
    ask = partial(
        answer_all,
        engine,
        folder,
        task=task,
        concurrency=measure.concurrency,
        progress_label=f"evaluate:{name}",
    )
    try:
        # The first requests also pay for memory and kernels that all later ones share.
        warmup = rows[: measure.warmup_requests]
        ask(warmup)
        measured = [_repeat(ask, share, measure.seconds) for share in shares]
    finally:
        engine.close()
    predictions = [p for repeat in measured for p in repeat[0].predictions]
    load = _load(measured, measure, load_seconds)
    report = {
        "name": name,
        "candidate": entry.candidate,
        "engine": entry.engine,
        "role": entry.role,
        **facts.quality(predictions, task),
        "performance": facts.performance(load),
        "cost": facts.cost(load.rates, measure.price_per_hour, measure.currency),
        "size_mb": round(candidate.served_bytes(folder) / 1e6, 2),
        "model_hash": candidate.sha256(folder),
        "hardware": facts.hardware(),
    }
    return predictions, report


def split(rows: Sequence[Record], shares: int) -> list[Sequence[Record]]:
    """Rows in `shares` runs of nearly equal length, in order.

    Raises:
        DataError: fewer rows than shares.
    """
    if len(rows) < shares:
        raise DataError(
            f"{paths.VALIDATION} holds {len(rows)} rows, fewer than evaluate.measure.repeats = "
            f"{shares}: raise prepare.max_validation or lower the repeats"
        )
    ends = [len(rows) * share // shares for share in range(shares + 1)]
    return [rows[start:end] for start, end in itertools.pairwise(ends)]


def _repeat(
    ask: Callable[[Sequence[Record]], Answers], share: Sequence[Record], seconds: float
) -> list[Answers]:
    passes = [ask(share)]
    while sum(answers.seconds for answers in passes) < seconds:
        passes.append(ask(share))
    return passes


def _load(
    measured: Sequence[Sequence[Answers]], measure: MeasureConfig, load_seconds: float
) -> facts.Load:
    passes = list(itertools.chain.from_iterable(measured))
    tokens = sum(sum(answers.prompt_tokens) for answers in passes)
    return facts.Load(
        concurrency=measure.concurrency,
        rates=[_rate(repeat) for repeat in measured],
        latencies=[latency for answers in passes for latency in answers.latencies],
        prompt_tokens_per_second=tokens / sum(answers.seconds for answers in passes),
        load_seconds=load_seconds,
    )


def _rate(passes: Sequence[Answers]) -> float:
    requests = sum(len(answers.latencies) for answers in passes)
    return requests / sum(answers.seconds for answers in passes)
