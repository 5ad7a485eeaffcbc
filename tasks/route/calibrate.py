"""From evaluated candidates to a calibrated router.

    calibration, report = calibrate("sentiment", config)
    calibration.level     # 0.83; None where no level was shown to keep the floor

The rows that calibrate and those that judge are drawn by their ids, so that the order of rows,
which evaluation timed, has no say.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bentos.router.calibration import Calibration
from tasks import candidates_table, paths, records
from tasks.candidates_table import Evaluation
from tasks.errors import DataError
from tasks.records import Prediction, Record
from tasks.route import evidence, guarantee
from tasks.route.config import RouteConfig
from tasks.route.evidence import Worth
from tasks.route.guarantee import Array


class Asked(NamedTuple):
    """What all models answered to the same requests.

    Attributes:
        scores: (N, M), the cheapest model first.
        confidences: (N, M - 1) of all models but the last.
        lengths: (N,) characters of the requests.
        prices: (M,) of a request to each model.
        currency: of the prices.
    """

    scores: Array
    confidences: Array
    lengths: NDArray[np.int64]
    prices: Array
    currency: str

    def only(self, rows: NDArray[np.bool_]) -> "Asked":
        """Some of the requests."""
        return self._replace(
            scores=self.scores[rows],
            confidences=self.confidences[rows],
            lengths=self.lengths[rows],
        )


def calibrate(workload: str, config: RouteConfig) -> tuple[Calibration, dict[str, Any]]:
    """The calibration and the report.

    Raises:
        DataError: a model's evaluation is missing or tells no confidences, prices do not rise, or
            there are too few rows.
    """
    answered, ids = asked(config)
    calibrating = np.array([_draw(each) < config.calibration_share for each in ids])
    if calibrating.all() or not calibrating.any():
        raise DataError(
            f"{paths.VALIDATION}: {len(ids)} rows cannot both calibrate and judge; raise "
            "prepare.max_validation"
        )
    ours, others = answered.only(calibrating), answered.only(~calibrating)
    choice = guarantee.loosest(ours.scores, ours.confidences, config.floor, config.confidence)
    worth = None if choice.level is None else _worth(others, choice.level, config)
    recommended, why = _verdict(config, worth, choice)
    shown = [each for each in choice.tested if each.level == choice.level]
    calibration = Calibration(
        workload=workload,
        models=config.models,
        level=choice.level,
        floor=config.floor,
        confidence=config.confidence,
        kept=shown[0].kept if shown else (),
        recommended=recommended,
        why=why,
        expires=(datetime.now(UTC) + timedelta(days=config.valid_days)).date(),
    )
    return calibration, {
        **calibration.model_dump(mode="json", exclude={"expires"}),
        "rows": {"calibrating": int(calibrating.sum()), "judging": int((~calibrating).sum())},
        "prices_per_1000": dict(zip(config.models, answered.prices.tolist(), strict=True)),
        "currency": answered.currency,
        "worth": None if worth is None else _told(worth),
        "tested": [each._asdict() for each in choice.tested],
    }


def _verdict(
    config: RouteConfig, worth: Worth | None, choice: guarantee.Choice
) -> tuple[bool, str]:
    """Whether to route, and why, in a sentence."""
    dear = config.models[-1]
    if worth is None:
        return False, (
            f"no router: no level is shown to keep {config.floor:.0%} of {dear}'s quality with "
            f"{config.confidence:.0%} confidence; more validation rows may show one"
        )
    if choice.level == 0:
        return False, (
            f"no router: {config.models[0]} alone is shown to keep {config.floor:.0%} of {dear}'s "
            "quality"
        )
    if worth.saving.low <= 0:
        return False, f"no router: it is not shown to cost less than {dear} alone"
    for rival, found in (("a lot", worth.beats_random), ("length", worth.beats_length)):
        if found.lower_bound <= 0:
            return False, f"no router: at the same price it is not shown to beat {rival}"
    return True, (
        f"route: {worth.saving.value:.0%} of {dear}'s price is saved "
        f"({worth.saving.low:.0%} to {worth.saving.high:.0%}), and {config.floor:.0%} of its "
        f"quality kept with {config.confidence:.0%} confidence"
    )


def _worth(known: Asked, level: float, config: RouteConfig) -> Worth:
    taken = guarantee.answering(known.confidences, level)
    overhead = config.overhead_per_1000
    return evidence.worth(
        known.scores, taken, known.lengths, known.prices, overhead, config.confidence
    )


def _told(worth: Worth) -> dict[str, Any]:
    return {
        name: value if isinstance(value, float) else value._asdict()
        for name, value in worth._asdict().items()
    }


def _draw(identity: str) -> float:
    """A number from 0 to 1 that belongs to a row."""
    return int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8]) / 2**64


def asked(config: RouteConfig, root: Path = Path()) -> tuple[Asked, list[str]]:
    """What the models answered to the rows that all of them were asked, and the rows' ids.

    Raises:
        DataError: a model's evaluation is missing or tells no confidences, or prices do not rise.
    """
    reports = {each.name: each for each in candidates_table.evaluations(root)}
    missing = [name for name in config.models if name not in reports]
    if missing:
        raise DataError(
            f"data/evaluate: no evaluation of {', '.join(missing)}; run `dvc repro evaluate` first"
        )
    answers = [_answers(root, name) for name in config.models]
    rows = [
        row
        for row in records.read(root / paths.VALIDATION, Record)
        if all(row.id in known for known in answers)
    ]
    told = [[known[row.id] for known in answers] for row in rows]
    prices = np.array([reports[name].cost.per_1000_requests.value for name in config.models])
    if (np.diff(prices) <= 0).any():
        listed = ", ".join(f"{n} {p:.6f}" for n, p in zip(config.models, prices, strict=True))
        raise DataError(f"route: models must be named from cheap to dear; measured: {listed}")
    found = Asked(
        scores=np.array([[one.score for one in each] for each in told]),
        confidences=np.array([[one.confidence for one in each[:-1]] for each in told], dtype=float),
        lengths=np.array([sum(len(m["content"]) for m in row.messages) for row in rows]),
        prices=prices,
        currency=_currency(reports, config),
    )
    if np.isnan(found.confidences).any():
        raise DataError(
            "data/evaluate: no confidences; set evaluate.candidates.<name>.confidence: true for "
            f"{', '.join(config.models[:-1])}"
        )
    return found, [row.id for row in rows]


def _answers(root: Path, name: str) -> dict[str, Prediction]:
    file = root / paths.evaluation(name) / paths.PREDICTIONS
    return {each.id: each for each in records.read(file, Prediction)}


def _currency(reports: dict[str, Evaluation], config: RouteConfig) -> str:
    found = {reports[name].cost.currency for name in config.models}
    if len(found) > 1:
        raise DataError(f"route: prices are in {', '.join(sorted(found))}; they must be in one")
    return found.pop()
