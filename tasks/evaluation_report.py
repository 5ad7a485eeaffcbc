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

from tasks import intervals, slices
from tasks.config import Task
from tasks.metrics import choose as metrics
from tasks.records import Prediction

CONFIDENCE = 0.95
REQUESTS_PRICED = 1000


class Load(NamedTuple):
    """How the machine did.

    Attributes:
        concurrency: requests in flight.
        rates: requests per second, one a repeat.
        latencies: seconds, one a request.
        prompt_tokens_per_second: over all repeats; None where nothing is tokenized.
        load_seconds: from nothing to ready.
    """

    concurrency: int
    rates: Sequence[float]
    latencies: Sequence[float]
    prompt_tokens_per_second: float | None
    load_seconds: float


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
        "requests": len(load.latencies),
        "requests_per_second": intervals.mean(load.rates)._asdict(),
        "latency_ms": {
            "p50": round(1000 * percentile(load.latencies, 0.50), 2),
            "p95": round(1000 * percentile(load.latencies, 0.95), 2),
        },
        "prompt_tokens_per_second": None if tokens is None else round(tokens, 1),
        # Linux counts the peak in KiB.
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, 1),
        "load_seconds": round(load.load_seconds, 2),
    }


def cost(rates: Sequence[float], price_per_hour: float, currency: str) -> dict[str, Any]:
    """Price of 1,000 requests on a machine that does nothing else, with its interval.

    The interval is that of the mean cost over repeats.
    """
    prices = [price_per_hour / 3600 / rate * REQUESTS_PRICED for rate in rates]
    return {
        "currency": currency,
        "price_per_hour": price_per_hour,
        "per_1000_requests": intervals.mean(prices)._asdict(),
    }


def hardware() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "cpu": _cpu_model(),
        "cores": psutil.cpu_count(logical=True),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
    }


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
