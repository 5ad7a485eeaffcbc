"""What a router is worth, on requests that it was not calibrated on.

    found = worth(scores, taken, lengths, prices, overhead, confidence=0.95)
    found.saving             # of the last model's price, with its interval
    found.beats_random       # quality at the same price, difference with its interval

Rivals cost the same and know less: one sends requests to the last model by lot, the other the
longest ones; neither asks a cheap model first, so both may ask the last one more often.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks import intervals
from tasks.intervals import Comparison, Interval
from tasks.route.guarantee import Array


class Worth(NamedTuple):
    """All of it per request; prices per 1,000.

    Attributes:
        quality: of the answers that stay.
        loss: the last model's quality minus it, on the same requests.
        price: paid for all models that were asked, and for routing.
        saving: share of the last model's price that is not paid.
        beats_random: quality above that of a lot at the same price.
        beats_length: quality above that of sending the longest requests on, at the same price.
    """

    quality: Interval
    loss: Comparison
    price: float
    saving: Interval
    beats_random: Comparison
    beats_length: Comparison


def worth(
    scores: Array,
    taken: NDArray[np.int64],
    at_once: NDArray[np.bool_],
    lengths: NDArray[np.int64],
    prices: Array,
    overhead: float,
    confidence: float,
) -> Worth:
    """Judge routed requests.

    Args:
        scores: (N, M) of every model's answers, the cheapest model first.
        taken: (N,) the model whose answer stays.
        at_once: (N,) whether the last model was asked alone.
        lengths: (N,) of the requests, in characters.
        prices: (M,) of a request to each model.
        overhead: what routing costs a request.
        confidence: of the intervals.
    """
    kept = scores[np.arange(len(scores)), taken]
    # (N,): all models up to the one that stays
    paid = np.where(at_once, prices[-1], prices.cumsum()[taken]) + overhead
    price = float(paid.mean())
    share = _share_at(price, prices)
    saved = intervals.mean(list(1 - paid / prices[-1]), confidence)
    by_length = np.where(_longest(lengths, share), scores[:, -1], scores[:, 0])
    by_lot = share * scores[:, -1] + (1 - share) * scores[:, 0]
    return Worth(
        quality=intervals.mean_score(kept.tolist(), confidence),
        loss=_difference(scores[:, -1], kept, confidence),
        price=price,
        saving=Interval(
            saved.value,
            saved.value if saved.low is None else saved.low,
            saved.value if saved.high is None else saved.high,
        ),
        beats_random=_difference(kept, by_lot, confidence),
        beats_length=_difference(kept, by_length, confidence),
    )


def _share_at(price: float, prices: Array) -> float:
    """Share of the requests that the last model may answer at this price, the rest the first."""
    return float(np.clip((price - prices[0]) / (prices[-1] - prices[0]), 0, 1))


def _longest(lengths: NDArray[np.int64], share: float) -> NDArray[np.bool_]:
    """(N,) whether a request is among that share of the longest ones."""
    count = round(share * len(lengths))
    chosen = np.zeros(len(lengths), bool)
    chosen[np.argsort(-lengths, kind="stable")[:count]] = True
    return chosen


def _difference(ours: Array, theirs: Array, confidence: float) -> Comparison:
    apart = ours - theirs
    deviation = float(np.std(apart, ddof=1)) if len(apart) > 1 else 0.0
    return intervals.mean_difference(float(apart.mean()), deviation, len(apart), confidence)
