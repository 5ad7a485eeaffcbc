"""Quality, price and latency of a model that is paid by the token.

    python -m tasks.remote teacher

Its price is what its tokens cost, whatever machine it runs on; the interval is over equal shares of
the rows, whose lengths differ. Its speed is what it was from here.
"""

import itertools
import statistics
from typing import Any

from tasks import evaluation_report as facts
from tasks import intervals, ledger, paths, records
from tasks.config import Task
from tasks.measure import MeasureConfig
from tasks.records import Prediction, Record
from tasks.remote_config import RemoteConfig
from tasks.remote_model import answer_all
from tasks.scoring import Answers


def evaluate(
    name: str, config: RemoteConfig, measure: MeasureConfig, task: Task
) -> tuple[list[Prediction], dict[str, Any]]:
    """Predictions on the validation rows, and the report.

    Raises:
        ConfigError: the variable with the key is not set.
        DataError: the model does not answer.
    """
    rows = records.read(paths.VALIDATION, Record)[: config.rows]
    answers = answer_all(config, rows, task, f"remote:{name}", f"remote.{name}")
    report = {
        "name": name,
        "candidate": None,
        "engine": "remote",
        "role": config.role,
        **facts.quality(answers.predictions, task),
        "performance": _performance(answers, config),
        "cost": _cost(answers, config, measure),
        "size_mb": None,
        "model_hash": None,
        "hardware": {},
    }
    return answers.predictions, report


def _performance(answers: Answers, config: RemoteConfig) -> dict[str, Any]:
    rate = config.concurrency / statistics.fmean(answers.latencies)
    return {
        "concurrency": config.concurrency,
        "requests": len(answers.latencies),
        "through": "remote",
        "requests_per_second": {"value": rate, "low": None, "high": None},
        "latency_ms": {
            "p50": round(1000 * facts.percentile(answers.latencies, 0.50), 2),
            "p95": round(1000 * facts.percentile(answers.latencies, 0.95), 2),
        },
    }


def _cost(answers: Answers, config: RemoteConfig, measure: MeasureConfig) -> dict[str, Any]:
    tokens = list(zip(answers.prompt_tokens, answers.completion_tokens, strict=True))
    prices = [config.price(*each) * ledger.REQUESTS for each in tokens]
    ends = [len(prices) * share // measure.repeats for share in range(measure.repeats + 1)]
    shares = [statistics.fmean(prices[a:b]) for a, b in itertools.pairwise(ends) if b > a]
    per_request = statistics.fmean(sum(each) for each in tokens)
    per_million = ledger.per_million_tokens(shares, per_request)
    return {
        "currency": measure.currency,
        "price_per_hour": None,
        "per_1000_requests": intervals.mean(shares)._asdict(),
        "repeats": shares,
        "tokens_per_request": round(per_request, 2),
        "per_million_tokens": per_million._asdict() if per_million else None,
        "energy_wh_per_1000_requests": None,
        "service_level": None,
    }
