"""The report of anything that was evaluated, a served model or a cheap rival.

{"name": "small-int8", "quality": {"value": 0.905, "low": 0.879, "high": 0.926, …}, …}
"""

import math
import platform
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from tasks import intervals, ledger, slices
from tasks.config import Task
from tasks.measure import MeasureConfig
from tasks.metrics import choose as metrics
from tasks.records import Prediction

CONFIDENCE = 0.95


class Point(NamedTuple):
    """One load of the load curve: requests in flight, how fast, and latencies in seconds."""

    concurrency: int
    rate: float
    latencies: Sequence[float]


class Load(NamedTuple):
    """How the machine did.

    Attributes:
        concurrency: requests in flight.
        rates: requests per second, one a repeat.
        latencies: seconds, one a request.
        prompt_tokens_per_second: over all repeats; None where nothing is tokenized.
        load_seconds: from nothing to ready.
        tokens_per_request: read and written, on average; 0 where nothing is tokenized.
        watt_hours: that all requests together took; None where the machine does not tell.
        curve: other loads that were tried.
        through: what was asked: "engine", or "service" over HTTP.
        arrivals_per_second: of requests at random moments; None where each follows an answer.
    """

    concurrency: int
    rates: Sequence[float]
    latencies: Sequence[float]
    prompt_tokens_per_second: float | None
    load_seconds: float
    tokens_per_request: float = 0.0
    watt_hours: float | None = None
    curve: Sequence[Point] = ()
    through: str = "engine"
    arrivals_per_second: float | None = None


def quality(predictions: Sequence[Prediction], task: Task) -> dict[str, Any]:
    """The task's metric with its 95% interval, its further metrics, and the metric by slice."""
    primary = {"metric": task.primary_metric, "confidence": CONFIDENCE}
    return {
        "quality": primary | _mean(predictions),
        "metrics": {
            name: metrics.interval(name, predictions, task)._asdict()
            for name in task.further_metrics
        },
        "slices": [
            {"field": field, "value": value, "n": len(part), "quality": primary | _mean(part)}
            for field in task.slices
            for value, part in slices.by(field, predictions).items()
        ],
    }


def _mean(predictions: Sequence[Prediction]) -> dict[str, Any]:
    found = intervals.mean_score([each.score for each in predictions], CONFIDENCE)
    return {"n": len(predictions)} | found._asdict()


def performance(load: Load) -> dict[str, Any]:
    """Throughput with its interval over repeats, latency percentiles and peak memory."""
    tokens = load.prompt_tokens_per_second
    return {
        "concurrency": load.concurrency,
        "repeats": len(load.rates),
        "through": load.through,
        "arrivals_per_second": load.arrivals_per_second,
        "requests": len(load.latencies),
        "requests_per_second": intervals.mean(load.rates)._asdict(),
        "latency_ms": _latency(load.latencies),
        "load_curve": [
            {
                "concurrency": point.concurrency,
                "requests": len(point.latencies),
                "requests_per_second": {"value": point.rate},
                "latency_ms": _latency(point.latencies),
            }
            for point in load.curve
        ],
        "prompt_tokens_per_second": None if tokens is None else round(tokens, 1),
        "peak_memory_mb": round(_peak_bytes() / 1e6, 1),
        "load_seconds": round(load.load_seconds, 2),
    }


def cost(load: Load, measure: MeasureConfig) -> dict[str, Any]:
    """Prices of 1,000 requests and a million tokens on a machine that does nothing else.

    Intervals are those of the mean price over repeats. Prices of single repeats are kept, so that
    two models' prices can be compared with an interval.
    """
    prices = ledger.per_1000(load.rates, measure.price_per_hour)
    tokens = ledger.per_million_tokens(prices, load.tokens_per_request)
    return {
        "currency": measure.currency,
        "price_per_hour": measure.price_per_hour,
        "per_1000_requests": intervals.mean(prices)._asdict(),
        "repeats": prices,
        "tokens_per_request": round(load.tokens_per_request, 2),
        "per_million_tokens": tokens._asdict() if tokens else None,
        "energy_wh_per_1000_requests": _energy(load),
        "service_level": _service_level(load, measure),
    }


def hardware() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "cpu": _cpu_model(),
        "instructions": _instructions(),
        "cores": psutil.cpu_count(logical=True),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
    }


INSTRUCTIONS = (
    "amx_int8",
    "avx512_vnni",
    "avx_vnni",
    "avx512f",
    "avx2",
    "i8mm",
    "asimddp",
    "asimd",
)
"""What makes matrix products of 8 bits faster than of 32, the fastest first; avx512f and avx2 alone
do not. Processors of one name differ in them."""

FLAGS = ("flags", "Features")
"""How lines of /proc/cpuinfo begin that name them, on x86 and on ARM."""


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def within(latencies: Sequence[float], p95_ms: float | None) -> bool:
    """Whether latencies in seconds keep to a service level; always, where there is none."""
    return p95_ms is None or 1000 * percentile(latencies, 0.95) <= p95_ms


def _latency(latencies: Sequence[float]) -> dict[str, float]:
    return {
        "p50": round(1000 * percentile(latencies, 0.50), 2),
        "p95": round(1000 * percentile(latencies, 0.95), 2),
    }


def _energy(load: Load) -> dict[str, float] | None:
    if load.watt_hours is None:
        return None
    return {"value": load.watt_hours / len(load.latencies) * ledger.REQUESTS}


def _service_level(load: Load, measure: MeasureConfig) -> dict[str, Any]:
    return {
        "p95_ms_asked": measure.p95_ms,
        "p95_ms_measured": _latency(load.latencies)["p95"],
        "met": within(load.latencies, measure.p95_ms),
        "concurrency": load.concurrency,
    }


def _peak_bytes() -> int:
    """Of this process or, where a server that has ended was asked, of that one if it had more."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    # Linux counts the peak in KiB.
    return 1024 * max(resource.getrusage(kind).ru_maxrss for kind in kinds)


def _instructions() -> str:
    """The best of INSTRUCTIONS that this processor has."""
    try:
        said = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "unknown"
    lines = (line.partition(":")[2] for line in said.splitlines() if line.startswith(FLAGS))
    flags = set(next(lines, "").split())
    return next((name for name in INSTRUCTIONS if name in flags), "none of these")


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
