"""Answers of two models to the same items, set side by side.

    pair("lora-fp32", teacher, "small-int8", candidate)    Pairs(gains=12, losses=18, n=1000)

Scores of 0 and 1 are counted, and compared by Tango's score interval; graded ones, such as chrF,
give a difference for every item, and are compared by Student's t of these differences, which holds
its level at the sizes met here (tests/gate/test_simulated_gates.py).
"""

import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import stats

from tasks import intervals
from tasks.errors import DataError
from tasks.intervals import Comparison
from tasks.records import Prediction

SHOWN = 3
DRAWS = 20_000
"""Simulated gates; the probability of passing is then known to within 0.01."""


class Pairs(NamedTuple):
    """Items that only the candidate (`gains`) or only the teacher (`losses`) got right, of `n`."""

    gains: int
    losses: int
    n: int

    @property
    def difference(self) -> float:
        """Candidate's share of right answers minus the teacher's."""
        return (self.gains - self.losses) / self.n

    @property
    def discordance(self) -> float:
        """Share of items that exactly one of the two got right."""
        return (self.gains + self.losses) / self.n

    def compared(self, confidence: float) -> Comparison:
        """The difference with its bounds."""
        return intervals.paired_difference(*self, confidence=confidence)

    def worse_p(self, margin: float) -> float:
        """One-sided p-value against: it is worse by at most `margin`."""
        counts = np.array([self.gains]), np.array([self.losses])
        return float(stats.norm.cdf(intervals.score(*counts, self.n, -margin)[0]))

    def pass_probability(self, test_items: int, margin: float, confidence: float) -> float:
        """Chance that a test of `test_items` shows non-inferiority, given what was seen here."""
        return _simulated(self, test_items, margin, confidence)

    def items_needed(self, margin: float, confidence: float, power: float) -> int | None:
        """Items that would show it if what was seen is the truth; None at the margin itself."""
        return intervals.required_items(
            self.discordance, self.difference, margin, alpha=1 - confidence, power=power
        )

    def seen(self) -> str:
        """What was counted, in words."""
        return f"it alone is right on {self.gains}, the teacher alone on {self.losses}"


class Graded(NamedTuple):
    """Differences of graded scores, candidate minus teacher.

    Attributes:
        difference: their mean.
        deviation: their standard deviation.
        discordance: share of items whose scores differ.
    """

    difference: float
    deviation: float
    discordance: float
    n: int

    def compared(self, confidence: float) -> Comparison:
        """The mean difference with its bounds."""
        return intervals.mean_difference(self.difference, self.deviation, self.n, confidence)

    def worse_p(self, margin: float) -> float:
        """One-sided p-value against: it is worse by at most `margin`."""
        distance = self.difference + margin
        if self.deviation < intervals.ALIKE:
            # All alike: the chance that no item shows what would bring the mean to the margin.
            share = min(1.0, -distance / (1 + abs(self.difference)))
            return (1 - share) ** self.n if distance < 0 else 1.0
        statistic = distance / (self.deviation / math.sqrt(self.n))
        return float(stats.t.cdf(statistic, max(1, self.n - 1)))

    def pass_probability(self, test_items: int, margin: float, confidence: float) -> float:
        """Chance that a test of `test_items` shows non-inferiority, given what was seen here.

        What is seen there differs from what was seen here by the noise of both.
        """
        expected = intervals.mean_difference(
            self.difference, self.deviation, test_items, confidence
        )
        missing = -margin - expected.lower_bound
        spread = self.deviation * math.sqrt(1 / self.n + 1 / test_items)
        if self.deviation < intervals.ALIKE:
            return float(missing < 0)
        return float(stats.t.sf(missing / spread, max(1, self.n - 1)))

    def items_needed(self, margin: float, confidence: float, power: float) -> int | None:
        """Items that would show it if what was seen is the truth; None at the margin itself."""
        distance = abs(self.difference + margin)
        if distance < 1e-9:
            return None
        reach = float(stats.norm.ppf(confidence) + stats.norm.ppf(power))
        return max(2, math.ceil((reach * self.deviation / distance) ** 2))

    def seen(self) -> str:
        """What was counted, in words."""
        return f"their scores differ on {self.discordance:.0%} of the items"


Paired = Pairs | Graded


def pair(
    teacher_name: str,
    teacher: Sequence[Prediction],
    candidate_name: str,
    candidate: Sequence[Prediction],
) -> Paired:
    """Compare the scores of the two on every item.

    Raises:
        DataError: no answers, an item answered twice or by one of the two only, or judged by
            different references.
    """
    one, other = _by_id(teacher_name, teacher), _by_id(candidate_name, candidate)
    _check_same_items(teacher_name, one, candidate_name, other)
    _check_same_items(candidate_name, other, teacher_name, one)
    differing = [key for key in one if one[key].reference != other[key].reference]
    if differing:
        raise DataError(
            f"{teacher_name} and {candidate_name} were judged by different references at "
            f"{_some(differing)}: evaluate both again on the same split"
        )
    return of_scores([one[key].score for key in one], [other[key].score for key in one])


def in_order(
    teacher: Sequence[Prediction], candidate: Sequence[Prediction]
) -> tuple[list[Prediction], list[Prediction]]:
    """Both by the ids of their items, which are the same."""
    one, other = (sorted(side, key=lambda each: each.id) for side in (teacher, candidate))
    return one, other


def of_scores(teacher: Sequence[float], candidate: Sequence[float]) -> Paired:
    """Two lists of scores of the same items, in order."""
    if {*teacher, *candidate} <= {0.0, 1.0}:
        gains, losses = intervals.discordant(
            [score == 1 for score in teacher], [score == 1 for score in candidate]
        )
        return Pairs(gains, losses, len(teacher))
    differences = np.asarray(candidate) - np.asarray(teacher)  # (N,)
    deviation = float(differences.std(ddof=1)) if len(differences) > 1 else math.inf
    share = float((differences != 0).mean())
    return Graded(float(differences.mean()), deviation, share, len(differences))


@lru_cache(maxsize=65_536)
def _simulated(pairs: Pairs, test_items: int, margin: float, confidence: float) -> float:
    """The shares of gains and losses are uncertain too: they are drawn from their posterior under
    Jeffreys' prior (Dirichlet with 1/2 each), then a test of `test_items` from those shares.

    Seeded, so that the same validation always gives the same choice.
    """
    generator = np.random.default_rng(0)
    same = pairs.n - pairs.gains - pairs.losses
    shares = generator.dirichlet([pairs.gains + 0.5, pairs.losses + 0.5, same + 0.5], DRAWS)
    outcomes = generator.multinomial(test_items, shares)
    passed = intervals.is_non_inferior(
        outcomes[:, 0], outcomes[:, 1], test_items, margin, confidence
    )
    return float(passed.mean())


def _by_id(name: str, predictions: Sequence[Prediction]) -> dict[str, Prediction]:
    if not predictions:
        raise DataError(f"{name} has no predictions: run `python -m tasks.evaluate {name}` again")
    counts = Counter(prediction.id for prediction in predictions)
    twice = [key for key, count in counts.items() if count > 1]
    if twice:
        raise DataError(f"predictions of {name}: more than one for {_some(twice)}: evaluate again")
    return {prediction.id: prediction for prediction in predictions}


def _check_same_items(
    name: str, answered: dict[str, Prediction], other_name: str, other: dict[str, Prediction]
) -> None:
    missing = [key for key in other if key not in answered]
    if missing:
        raise DataError(
            f"predictions of {name}: none for {_some(missing)}, which {other_name} answered: "
            "evaluate both again on the same split"
        )


def _some(keys: Sequence[str]) -> str:
    shown = ", ".join(keys[:SHOWN])
    return f"id {shown}" + (f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else "")
