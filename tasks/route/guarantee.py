"""The loosest level of a cascade that is shown to keep a floor of quality.

    chosen = loosest(scores, confidences, floor=0.98, confidence=0.95)
    chosen.level     # 0.83, or None where none is shown to

Learn then Test (Angelopoulos, Bates, Candès, Jordan and Lei 2021, arXiv:2110.01052) with a fixed
sequence of levels: each is tested only if the stricter one before it was shown to keep the floor,
so the probability that the chosen level breaks it is at most 1 - confidence, for any number of
items, whatever the confidences are worth.

The test of one level is by betting (Waudby-Smith and Ramdas 2024, JRSS B 86:1): against "the mean
loss is at least zero" a bettor's fair stake grows only if the losses say otherwise, and the inverse
of its growth is a p-value. Stakes are a mixture over fixed sizes, so the items' order is no matter.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bentos.router.cascade import levels

Array = NDArray[np.float64]

STAKES = tuple(2.0 ** (-step / 2) for step in range(17))
"""Shares of the largest stake that cannot lose more than all."""


class Tested(NamedTuple):
    """One level, with what was found of it.

    Attributes:
        kept: shares of the requests that each model answers, the cheapest first.
        p_value: of the claim that the floor is broken.
    """

    level: float
    kept: tuple[float, ...]
    p_value: float


class Choice(NamedTuple):
    """The loosest level that was shown to keep the floor, and all that were tested."""

    level: float | None
    tested: tuple[Tested, ...]


def loosest(scores: Array, confidences: Array, floor: float, confidence: float) -> Choice:
    """Test levels from the strictest on until one is not shown to keep the floor.

    Args:
        scores: (N, M) of every model's answers, 0 to 1, the cheapest model first.
        confidences: (N, M - 1) of all models but the last.
        floor: share of the last model's mean score that must be kept.
        confidence: with which.
    """
    tested: list[Tested] = []
    for level in levels():
        taken = answering(confidences, level)
        found = p_value(losses(scores, taken, floor), floor)
        shares = tuple(float((taken == model).mean()) for model in range(scores.shape[1]))
        tested.append(Tested(level, shares, found))
        if found > 1 - confidence:
            break
    shown = [each.level for each in tested if each.p_value <= 1 - confidence]
    return Choice(shown[-1] if shown else None, tuple(tested))


def answering(confidences: Array, level: float) -> NDArray[np.int64]:
    """(N,) position of the model whose answer stays."""
    sure = np.hstack([confidences >= level, np.ones((len(confidences), 1), bool)])
    taken: NDArray[np.int64] = sure.argmax(axis=1)
    return taken


def losses(scores: Array, taken: NDArray[np.int64], floor: float) -> Array:
    """(N,) how far below the floor each answer is; the floor is kept where their mean is below 0.

    They lie between -1 and `floor`.
    """
    kept: Array = np.take_along_axis(scores, taken[:, None], axis=1)[:, 0]
    found: Array = floor * scores[:, -1] - kept
    return found


def p_value(found: Sequence[float] | Array, floor: float) -> float:
    """Of the claim that losses between -1 and `floor` have a mean of at least zero."""
    scaled = (np.asarray(found, dtype=np.float64) + 1) / (1 + floor)  # (N,), 0 to 1
    mean = 1 / (1 + floor)  # of the claim
    stakes = np.array(STAKES)[:, None] / (1 - mean)  # (S, 1)
    # A stake of the largest size may lose all: log 0 is what it says.
    with np.errstate(divide="ignore"):
        growth = np.log1p(np.maximum(stakes * (mean - scaled), -1)).sum(axis=1)  # (S,)
    largest = growth.max()
    wealth = largest + np.log(np.exp(growth - largest).mean()) if np.isfinite(largest) else -np.inf
    return float(min(1.0, np.exp(min(-wealth, 0.0))))
