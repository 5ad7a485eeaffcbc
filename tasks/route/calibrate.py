"""From evaluated candidates to a calibrated router.

    calibration, report = calibrate("sentiment", config)
    calibration.level     # 0.83; None where no level was shown to keep the floor

The rows that calibrate and those that judge are drawn by their ids, so that the order of rows,
which evaluation timed, has no say.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bentos.router.calibration import Calibration
from bentos.router.predictor import Predictor
from tasks import candidates_table, paths, records
from tasks.candidates_table import Evaluation
from tasks.errors import DataError
from tasks.records import Prediction, Record
from tasks.route import evidence, foresight, guarantee
from tasks.route.config import RouteConfig
from tasks.route.evidence import Worth
from tasks.route.foresight import Foresight
from tasks.route.guarantee import Array

ELSEWHERE: Final = {"evidence", "expires", "predictor", "rows", "system"}
"""Of a calibration, what its report tells by other names or not at all."""

NEVER: Final = -1.0
"""A confidence below every level."""


class Asked(NamedTuple):
    """What all models answered to the same requests.

    Attributes:
        scores: (N, M), the cheapest model first.
        confidences: (N, M - 1) of all models but the last.
        conversations: (N,) the requests.
        prices: (M,) of a request to each model.
        currency: of the prices.
    """

    scores: Array
    confidences: Array
    conversations: NDArray[np.object_]
    prices: Array
    currency: str

    def only(self, rows: NDArray[np.bool_]) -> "Asked":
        """Some of the requests."""
        return self._replace(
            scores=self.scores[rows],
            confidences=self.confidences[rows],
            conversations=self.conversations[rows],
        )

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(N,) characters of the requests."""
        return np.array([sum(len(m["content"]) for m in each) for each in self.conversations])

    def foreseen_by(self, predictor: Predictor | None) -> NDArray[np.bool_]:
        """(N,) which requests go to the last model at once."""
        if predictor is None:
            return np.zeros(len(self.scores), bool)
        return np.array([not predictor.asks_cheap(each) for each in self.conversations], bool)

    def without(self, rows: NDArray[np.bool_]) -> Array:
        """(N, M - 1) confidences, of some requests below any level: only the last model settles."""
        return np.where(rows[:, None], NEVER, self.confidences)


def calibrate(
    workload: str, config: RouteConfig, system: str | None = None
) -> tuple[Calibration, dict[str, Any]]:
    """The calibration and the report; `system` is the message that all rows begin with.

    Raises:
        DataError: a model's evaluation is missing or tells no confidences, prices do not rise, or
            there are too few rows.
    """
    answered, ids = asked(config)
    learning, calibrating, judging = _parts(ids, config)
    foreseen = _foresight(answered.only(learning), config)
    ours, others = answered.only(calibrating), answered.only(judging)
    at_once = ours.foreseen_by(foreseen.predictor)
    choice = guarantee.loosest(ours.scores, ours.without(at_once), config.floor, config.confidence)
    worth = None
    if choice.level is not None:
        worth = _worth(others, choice.level, foreseen.predictor, config)
    alone = choice.level == 0 and _settles_alone(ours, config)
    recommended, why = _verdict(config, worth, alone)
    calibration = Calibration(
        workload=workload,
        models=config.models,
        level=choice.level,
        floor=config.floor,
        confidence=config.confidence,
        kept=_kept(ours.only(~at_once), choice.level),
        rows=int((~at_once).sum()),
        predictor=foreseen.predictor,
        recommended=recommended,
        why=why,
        evidence=None if worth is None else _told(worth),
        expires=(datetime.now(UTC) + timedelta(days=config.valid_days)).date(),
        system=system,
    )
    return calibration, {
        **calibration.model_dump(mode="json", exclude=ELSEWHERE),
        "rows": {
            "learning": int(learning.sum()),
            "calibrating": int(calibrating.sum()),
            "judging": int(judging.sum()),
        },
        "predictor": {
            "used": foreseen.predictor is not None,
            "saving": None if foreseen.saving is None else foreseen.saving._asdict(),
            "at_once": float(others.foreseen_by(foreseen.predictor).mean()),
        },
        "prices_per_1000": dict(zip(config.models, answered.prices.tolist(), strict=True)),
        "currency": answered.currency,
        "worth": calibration.evidence,
        "tested": [each._asdict() for each in choice.tested],
    }


def _verdict(config: RouteConfig, worth: Worth | None, alone: bool) -> tuple[bool, str]:
    """Whether to route, and why, in a sentence; `alone`: the cheapest model needs no other."""
    dear = config.models[-1]
    if worth is None:
        return False, (
            f"no router: no level is shown to keep {config.floor:.0%} of {dear}'s quality with "
            f"{config.confidence:.0%} confidence; more validation rows may show one"
        )
    if alone:
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


def _parts(
    ids: Sequence[str], config: RouteConfig
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Rows that a predictor learns from, that calibrate, and that judge.

    Raises:
        DataError: there are too few.
    """
    draws = np.array([_draw(each) for each in ids])
    learning = draws >= 1 - config.predictor_share
    calibrating = draws < config.calibration_share * (1 - config.predictor_share)
    judging = ~(learning | calibrating)
    if not calibrating.any() or not judging.any():
        raise DataError(
            f"{paths.VALIDATION}: {len(ids)} rows cannot both calibrate and judge; raise "
            "prepare.max_validation"
        )
    return learning, calibrating, judging


def _foresight(known: Asked, config: RouteConfig) -> Foresight:
    """What can be foreseen at the level that these rows alone would choose."""
    if not len(known.scores):
        return Foresight(None, None)
    level = guarantee.loosest(
        known.scores, known.confidences, config.floor, config.confidence
    ).level
    if level is None:
        return Foresight(None, None)
    taken = guarantee.answering(known.confidences, level)
    return foresight.learn(list(known.conversations), taken, known.prices, config.confidence)


def _settles_alone(known: Asked, config: RouteConfig) -> bool:
    """Whether the cheapest model is shown to keep the floor: the last test of the sequence."""
    cheapest = np.zeros(len(known.scores), np.int64)
    losses = guarantee.losses(known.scores, cheapest, config.floor)
    return guarantee.p_value(losses, config.floor) <= 1 - config.confidence


def _kept(known: Asked, level: float | None) -> tuple[float, ...]:
    """Shares of the requests to the cheapest model that each model settles."""
    if level is None:
        return ()
    if not len(known.scores):
        return (*[0.0] * known.confidences.shape[1], 1.0)
    taken = guarantee.answering(known.confidences, level)
    return tuple(float((taken == model).mean()) for model in range(known.scores.shape[1]))


def _worth(known: Asked, level: float, predictor: Predictor | None, config: RouteConfig) -> Worth:
    at_once = known.foreseen_by(predictor)
    return evidence.worth(
        known.scores,
        guarantee.answering(known.without(at_once), level),
        at_once,
        known.lengths,
        known.prices,
        config.overhead_per_1000,
        config.confidence,
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
        conversations=_objects([row.messages for row in rows]),
        prices=prices,
        currency=_currency(reports, config),
    )
    if np.isnan(found.confidences).any():
        raise DataError(
            "data/evaluate: no confidences; set evaluate.candidates.<name>.confidence: true for "
            f"{', '.join(config.models[:-1])}"
        )
    return found, [row.id for row in rows]


def _objects(items: Sequence[object]) -> NDArray[np.object_]:
    found = np.empty(len(items), dtype=object)
    found[:] = list(items)
    return found


def _answers(root: Path, name: str) -> dict[str, Prediction]:
    file = root / paths.evaluation(name) / paths.PREDICTIONS
    return {each.id: each for each in records.read(file, Prediction)}


def _currency(reports: dict[str, Evaluation], config: RouteConfig) -> str:
    found = {reports[name].cost.currency for name in config.models}
    if len(found) > 1:
        raise DataError(f"route: prices are in {', '.join(sorted(found))}; they must be in one")
    return found.pop()
