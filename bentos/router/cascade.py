"""A cascade: the cheapest model answers, and a dearer one where it is not sure enough.

levels()[0]                           # 0.99999: nearly everything goes on to the dearest model
answers_at([0.7, 0.95], level=0.9)    # 1: the second model's answer stays
"""

from collections.abc import Sequence

STEPS_PER_HALVING = 4
"""Levels between one share of doubt and half of it."""

HALVINGS = 16


def levels() -> tuple[float, ...]:
    """Confidences that may be asked for, the strictest first, down to none at all.

    They are fixed before any data are seen, as a test of one after the other needs it. Doubt
    (1 - level) doubles every four of them: models are often very sure.
    """
    doubts = (2 ** (step / STEPS_PER_HALVING - HALVINGS) for step in range(_steps() + 1))
    return tuple(1 - doubt for doubt in doubts)


def answers_at(confidences: Sequence[float], level: float) -> int:
    """Which model's answer stays, of confidences that begin with the cheapest model's.

    The last model is not asked how sure it is: `confidences` has one less than there are models.
    """
    for position, sure in enumerate(confidences):
        if sure >= level:
            return position
    return len(confidences)


def _steps() -> int:
    return HALVINGS * STEPS_PER_HALVING
