"""Learn from requests alone where a cascade does not pay, on rows that calibrate nothing.

    found = learn(conversations, taken, prices, confidence=0.95)
    found.predictor    # None where it is not shown to save anything
    found.saving       # of the last model's price, estimated by cross-validation

A cheap model that is asked in vain is paid for nothing. Asking it pays where its answer stays with
more than a certain chance, which follows from the prices; the predictor estimates that chance.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from bentos.router import predictor
from bentos.router.predictor import Predictor
from tasks import intervals
from tasks.intervals import Estimate
from tasks.route.guarantee import Array

Conversation = Sequence[Mapping[str, Any]]

FOLDS: Final = 5
STRENGTH: Final = 4.0
"""Inverse of the penalty on weights: words are many, rows few."""


class Foresight(NamedTuple):
    """What was learned, and what it is worth on rows that it did not learn from.

    Attributes:
        predictor: None where it is not shown to save.
        saving: share of the last model's price, beside the cascade alone; None where there is
            nothing to learn from.
    """

    predictor: Predictor | None
    saving: Estimate | None


def learn(
    conversations: Sequence[Conversation],
    taken: NDArray[np.int64],
    prices: Array,
    confidence: float,
) -> Foresight:
    """Learn where answers stay, and keep it only if it is shown to save.

    Args:
        conversations: (N,) requests.
        taken: (N,) position of the model whose answer stays in the cascade.
        prices: (M,) of a request to each model, the cheapest first.
        confidence: with which it must be shown to save.
    """
    stays = taken < len(prices) - 1
    if min(stays.sum(), (~stays).sum()) < FOLDS:
        return Foresight(None, None)
    paid: Array = prices.cumsum()[taken]
    least = chance_that_pays(float(paid[stays].mean()), prices)
    inputs = _matrix(conversations)
    model = LogisticRegression(C=STRENGTH, max_iter=1000)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    chances = cross_val_predict(model, inputs, stays, cv=folds, method="predict_proba")[:, 1]
    saved = np.where(chances < least, paid - prices[-1], 0.0) / prices[-1]
    saving = intervals.mean(saved.tolist(), 2 * confidence - 1)
    if saving.low is None or saving.low <= 0:
        return Foresight(None, saving)
    model.fit(inputs, stays)
    weights = tuple(round(float(weight), 5) for weight in model.coef_[0])
    learned = Predictor(weights=weights, bias=float(model.intercept_[0]), least=least)
    return Foresight(learned, saving)


def chance_that_pays(staying: float, prices: Array) -> float:
    """Chance of an answer that stays from which a cascade costs no more than the last model alone.

    With a chance p it costs p * staying + (1 - p) * all models, on average.

    Args:
        staying: mean price where an answer stays.
        prices: (M,) of all models.
    """
    everyone = float(prices.sum())
    return (everyone - float(prices[-1])) / (everyone - staying)


def _matrix(conversations: Sequence[Conversation]) -> Array:
    found: Array = np.zeros((len(conversations), predictor.BUCKETS))
    for row, conversation in enumerate(conversations):
        for bucket, value in predictor.features(conversation).items():
            found[row, bucket] = value
    return found
