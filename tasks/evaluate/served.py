"""Quality and cost of one candidate in the engine or the service that serves it.

    python -m tasks.evaluate small-int8

One pass over the validation rows gives both: answers for quality; and throughput, measured once
for each of `repeats` equal shares of the rows, for cost. A share that gives the clients fewer than
`rounds` requests each goes round again without a pause, and one that a fast model answers in less
than `seconds` is asked again: start and end, when few are at work, and a second of a busy machine
say little. Rows are asked as they are, so prompts are as long as the workload's.

Requests at random moments are tried at falling shares of the throughput that steady ones had, and
the first rate that keeps to the service level is priced.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, assert_never

from bentos.generator.engine import load_engine
from tasks import candidate, paths, records, service
from tasks import evaluation_report as facts
from tasks.config import Task
from tasks.energy import Meter
from tasks.errors import DataError
from tasks.evaluate.config import EntryConfig
from tasks.measure import MeasureConfig
from tasks.records import Prediction, Record
from tasks.scoring import Answers, Traffic, answer_all

Ask = Callable[[Sequence[Record], Traffic], Answers]
"""Asks all rows as the traffic has them."""

UTILIZATIONS = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
"""Of the steady throughput: rates of random arrivals that are tried."""


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
    with _asked(name, entry, measure, task) as ask:
        load_seconds = time.perf_counter() - started
        # The first requests also pay for memory and kernels that all later ones share.
        ask(rows[: measure.warmup_requests], Traffic(measure.concurrency))
        predictions, load = priced(ask, rows, shares, measure, load_seconds)
    return predictions, _report(name, entry, folder, predictions, load, measure, task)


@contextmanager
def _asked(name: str, entry: EntryConfig, measure: MeasureConfig, task: Task) -> Iterator[Ask]:
    """The candidate, loaded and ready to be asked."""
    folder, label = paths.candidate(entry.candidate), f"evaluate:{name}"
    sure = entry.confidence
    match measure.through:
        case "service":
            with service.of_candidate(folder, entry.engine, task) as served:
                yield lambda rows, traffic: served.answer_all(rows, traffic, label, sure)
        case "engine":
            with closing(load_engine(entry.engine, folder)) as engine:
                yield lambda rows, traffic: answer_all(
                    engine, folder, rows, task, traffic, label, sure
                )
        case _:
            assert_never(measure.through)


def priced(
    ask: Ask,
    rows: Sequence[Record],
    shares: Sequence[Sequence[Record]],
    measure: MeasureConfig,
    load_seconds: float,
) -> tuple[list[Prediction], facts.Load]:
    """Answers and figures at the load that is priced.

    That is `concurrency` or, where a service level is asked, the highest load that keeps to it
    in the whole measurement. Where none does, it is the lowest.
    """
    loads = [load for load in measure.loads if measure.p95_ms or load != measure.concurrency]
    curve = [_try(ask, rows, load, measure) for load in loads]
    for traffic in _wanted(curve, measure):
        meter = Meter()
        measured = [_repeat(ask, share, traffic, measure) for share in shares]
        load = _load(measured, traffic, load_seconds, meter.watt_hours(), curve)._replace(
            through=measure.through
        )
        if facts.within(load.latencies, measure.p95_ms):
            break
    return [
        prediction
        for share, repeat in zip(shares, measured, strict=True)
        for prediction in repeat[0].predictions[: len(share)]
    ], load


def _wanted(curve: Sequence[facts.Point], measure: MeasureConfig) -> list[Traffic]:
    """Loads that may be priced, the most wanted first."""
    if measure.p95_ms is None:
        return [Traffic(measure.concurrency)]
    if measure.arrivals == "random":
        most = max(point.rate for point in curve)
        return [Traffic(measure.loads[-1], share * most) for share in UTILIZATIONS]
    allowed = [p.concurrency for p in curve if facts.within(p.latencies, measure.p95_ms)]
    return [Traffic(n) for n in sorted(allowed, reverse=True) or measure.loads[:1]]


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


def _report(
    name: str,
    entry: EntryConfig,
    folder: Path,
    predictions: Sequence[Prediction],
    load: facts.Load,
    measure: MeasureConfig,
    task: Task,
) -> dict[str, Any]:
    return {
        "name": name,
        "candidate": entry.candidate,
        "engine": entry.engine,
        "role": entry.role,
        **facts.quality(predictions, task),
        "performance": facts.performance(load),
        "cost": facts.cost(load, measure),
        "size_mb": round(candidate.served_bytes(folder) / 1e6, 2),
        "model_hash": candidate.sha256(folder),
        "hardware": facts.hardware(),
        **candidate.spent(folder)._asdict(),
    }


def _try(ask: Ask, rows: Sequence[Record], concurrency: int, measure: MeasureConfig) -> facts.Point:
    """A brief look at one load."""
    count = max(measure.load_curve_requests, 2 * concurrency)
    answers = ask(_again(rows, count), Traffic(concurrency))
    return facts.Point(concurrency, count / answers.seconds, answers.latencies)


def _again(rows: Sequence[Record], count: int) -> list[Record]:
    return list(itertools.islice(itertools.cycle(rows), count))


def _repeat(
    ask: Ask, share: Sequence[Record], traffic: Traffic, measure: MeasureConfig
) -> list[Answers]:
    if traffic.per_second is not None:
        # In one go: a queue has to build up.
        count = max(len(share), math.ceil(traffic.per_second * measure.seconds))
        return [ask(_again(share, count), traffic)]
    asked = _again(share, max(len(share), measure.rounds * traffic.concurrency))
    passes = [ask(asked, traffic)]
    while sum(answers.seconds for answers in passes) < measure.seconds:
        passes.append(ask(asked, traffic))
    return passes


def _load(
    measured: Sequence[Sequence[Answers]],
    traffic: Traffic,
    load_seconds: float,
    watt_hours: float | None,
    curve: Sequence[facts.Point],
) -> facts.Load:
    passes = list(itertools.chain.from_iterable(measured))
    latencies = [latency for answers in passes for latency in answers.latencies]
    read = sum(sum(answers.prompt_tokens) for answers in passes)
    written = sum(sum(answers.completion_tokens) for answers in passes)
    return facts.Load(
        concurrency=traffic.concurrency,
        arrivals_per_second=traffic.per_second,
        rates=[_rate(repeat) for repeat in measured],
        latencies=latencies,
        prompt_tokens_per_second=read / sum(answers.seconds for answers in passes),
        load_seconds=load_seconds,
        tokens_per_request=(read + written) / len(latencies),
        watt_hours=watt_hours,
        curve=curve,
    )


def _rate(passes: Sequence[Answers]) -> float:
    requests = sum(len(answers.latencies) for answers in passes)
    return requests / sum(answers.seconds for answers in passes)
