"""How sure a measured figure is: intervals of shares, of means and of paired differences.

    proportion(552, 600)                            Interval(0.920, 0.895, 0.939)
    paired_difference(gains=12, losses=18, n=1000)  Comparison(-0.006, -0.018, 0.005, ...)

Methods, each chosen for its coverage at the counts met here (hundreds of items, few of them
judged differently by the two models):

- Wilson's score interval for a share (Wilson 1927, JASA 22:209; recommended by Brown, Cai and
  DasGupta 2001, Statistical Science 16:101).
- Student's t for a mean of repeated timings, and of graded scores and their paired differences.
- Tango's score interval for the difference of paired shares (Tango 1998, Statistics in Medicine
  17:891). It stays honest when no item is judged differently, where Wald's interval has width
  zero; Fagerland, Lydersen and Laake (2014, Statistics in Medicine 33:2850) recommend it, and
  Liu et al. (2002, Statistics in Medicine 21:231) show that its test of non-inferiority keeps
  its level.
- Nam's number of pairs for that test (Nam 1997, Biometrics 53:1422).
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

Counts = NDArray[np.int64]
Statistic = NDArray[np.float64]


ALIKE = 1e-9
"""Standard deviation below which scores differ by rounding only."""


class Interval(NamedTuple):
    """A value and its two-sided interval."""

    value: float
    low: float
    high: float


class Estimate(NamedTuple):
    """A value and its two-sided interval; both ends are None when one repeat shows no spread."""

    value: float
    low: float | None
    high: float | None


class Comparison(NamedTuple):
    """A paired difference: two-sided `low` and `high`, one-sided `lower_bound`, `upper_bound`.

    All four at the same confidence, so that the one-sided bounds lie inside the two-sided ones.
    """

    value: float
    low: float
    high: float
    lower_bound: float
    upper_bound: float


def proportion(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Share of successes with Wilson's interval.

    Raises:
        ValueError: no items, more successes than items, or a confidence outside 0..1.
    """
    _check(n, confidence)
    if not 0 <= successes <= n:
        raise ValueError(f"successes = {successes}: must lie in 0..{n}")
    share = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    return Interval(successes / n, float(share.low), float(share.high))


def mean_score(scores: Sequence[float], confidence: float = 0.95) -> Interval:
    """Mean of scores between 0 and 1: Wilson's interval where all are 0 or 1, else Student's t.

    Raises:
        ValueError: no scores, or a confidence outside 0..1.
    """
    _check(len(scores), confidence)
    if all(score in {0, 1} for score in scores):
        return proportion(round(sum(scores)), len(scores), confidence)
    found = mean(scores, confidence)
    if found.low is None or found.high is None:
        return Interval(found.value, 0.0, 1.0)
    return Interval(found.value, max(0.0, found.low), min(1.0, found.high))


def mean(values: Sequence[float], confidence: float = 0.95) -> Estimate:
    """Mean of repeated measurements with Student's t interval.

    A single repeat says nothing about its spread: its interval is None, not a width of zero.

    Raises:
        ValueError: no values, or a confidence outside 0..1.
    """
    _check(len(values), confidence)
    value = math.fsum(values) / len(values)
    if len(values) == 1:
        return Estimate(value, None, None)
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    reach = float(stats.t.ppf(0.5 + confidence / 2, len(values) - 1)) * error
    return Estimate(value, value - reach, value + reach)


def paired_difference(gains: int, losses: int, n: int, confidence: float = 0.95) -> Comparison:
    """Candidate's share of right answers minus the teacher's, on the same `n` items.

    Args:
        gains: items that only the candidate got right.
        losses: items that only the teacher got right.
        n: all items.
        confidence: of the two-sided interval and of each one-sided bound.

    Raises:
        ValueError: counts that do not fit, or a confidence outside 0..1.
    """
    _check(n, confidence)
    if gains < 0 or losses < 0 or gains + losses > n:
        raise ValueError(f"gains = {gains}, losses = {losses}: must fit into {n} items")
    two_sided = float(stats.norm.ppf(0.5 + confidence / 2))
    one_sided = float(stats.norm.ppf(confidence))
    bound = _bounds(gains, losses, n)
    return Comparison(
        value=(gains - losses) / n,
        low=bound(two_sided),
        high=bound(-two_sided),
        lower_bound=bound(one_sided),
        upper_bound=bound(-one_sided),
    )


def mean_difference(
    difference: float, deviation: float, n: int, confidence: float = 0.95
) -> Comparison:
    """Mean of `n` paired differences of graded scores, with Student's t bounds.

    Where all differences are the same, which would leave no width, the bounds are those of what
    `n` items may not have shown: others, each different by at most the whole range of scores.

    Args:
        difference: their mean.
        deviation: their standard deviation.
        n: all items.
        confidence: of the two-sided interval and of each one-sided bound.

    Raises:
        ValueError: no items, or a confidence outside 0..1.
    """
    _check(n, confidence)
    if n == 1:
        return Comparison(difference, -1.0, 1.0, -1.0, 1.0)
    if deviation < ALIKE:
        two_sided = unseen(n, 0.5 + confidence / 2) * (1 + abs(difference))
        one_sided = unseen(n, confidence) * (1 + abs(difference))
    else:
        error = deviation / math.sqrt(n)
        two_sided = float(stats.t.ppf(0.5 + confidence / 2, n - 1)) * error
        one_sided = float(stats.t.ppf(confidence, n - 1)) * error
    return Comparison(
        value=difference,
        low=difference - two_sided,
        high=difference + two_sided,
        lower_bound=difference - one_sided,
        upper_bound=difference + one_sided,
    )


def unseen(n: int, confidence: float) -> float:
    """Largest share of a kind of item of which `n` items may well show none: 3 / n at 95%."""
    return float(1 - (1 - confidence) ** (1 / n))


def discordant(teacher: Sequence[bool], candidate: Sequence[bool]) -> tuple[int, int]:
    """(gains, losses) of two lists of right and wrong answers to the same items, in order.

    Raises:
        ValueError: the lists differ in length.
    """
    if len(teacher) != len(candidate):
        raise ValueError(f"{len(teacher)} answers of one and {len(candidate)} of the other")
    pairs = list(zip(teacher, candidate, strict=True))
    return pairs.count((False, True)), pairs.count((True, False))


def is_non_inferior(
    gains: Counts, losses: Counts, n: int, margin: float, confidence: float = 0.95
) -> NDArray[np.bool_]:
    """Whether the one-sided lower bound lies above -margin, for many outcomes at once.

    The same test as `paired_difference(...).lower_bound > -margin`, without solving for the bound.
    Shapes: `gains`, `losses` and the result are (outcomes,).
    """
    return score(gains, losses, n, -margin) > float(stats.norm.ppf(confidence))


def score(gains: Counts, losses: Counts, n: int, difference: float) -> Statistic:
    """Tango's score statistic of the hypothesis that the true difference is `difference`.

    Standard normal under the hypothesis; falls as `difference` rises. Shapes: (outcomes,).
    """
    observed = (np.asarray(gains) - np.asarray(losses)) / n
    variance = _variance(np.asarray(gains) / n, np.asarray(losses) / n, difference)
    return (observed - difference) / np.sqrt(np.maximum(variance, 1e-300) / n)


def required_items(
    discordance: float,
    difference: float,
    margin: float,
    alpha: float = 0.05,
    power: float = 0.8,
) -> int | None:
    """Number of pairs with which the one-sided test settles on which side of -margin we are.

    Args:
        discordance: share of items that exactly one of the two gets right.
        difference: true difference, candidate minus teacher.
        margin: how much worse the candidate may be; 0 asks whether it is better.
        alpha: level of the one-sided test.
        power: probability that it settles the matter.

    Returns:
        None when the difference is exactly -margin: no number settles that.

    Raises:
        ValueError: shares outside 0..1, or a difference that exceeds the discordance.
    """
    if not abs(difference) <= discordance <= 1:
        raise ValueError(f"discordance = {discordance}: must lie in {abs(difference)}..1")
    if not (0 < alpha < 1 and 0 < power < 1 and 0 <= margin < 1):
        raise ValueError("alpha, power and margin must lie between 0 and 1")
    distance = abs(difference + margin)
    if distance < 1e-9:
        return None
    gains, losses = (discordance + difference) / 2, (discordance - difference) / 2
    at_margin = float(_variance(np.float64(gains), np.float64(losses), -margin))
    truly = discordance - difference**2
    z_alpha, z_power = float(stats.norm.ppf(1 - alpha)), float(stats.norm.ppf(power))
    reach = z_alpha * math.sqrt(at_margin) + z_power * math.sqrt(max(truly, 0.0))
    return max(1, math.ceil((reach / distance) ** 2))


def _bounds(gains: int, losses: int, n: int) -> Callable[[float], float]:
    """The difference at which the score statistic equals a normal quantile."""
    counts = np.array([gains]), np.array([losses])

    def bound(quantile: float) -> float:
        def excess(difference: float) -> float:
            return float(score(*counts, n, difference)[0]) - quantile

        edge = 1 - 1e-9
        if excess(-edge) <= 0:
            return -1.0
        if excess(edge) >= 0:
            return 1.0
        return float(optimize.brentq(excess, -edge, edge, xtol=1e-12))

    return bound


def _variance(
    gains: np.float64 | Statistic, losses: np.float64 | Statistic, difference: float
) -> np.float64 | Statistic:
    """Variance of one pair's difference, its likelihood maximized given `difference`.

    `gains` and `losses` are shares. The root of Tango's quadratic A q^2 + B q + C = 0 is the
    probability of a loss; that of a gain is q + difference.
    """
    b = (2 - gains + losses) * difference - gains - losses
    c = -losses * difference * (1 - difference)
    root = (np.sqrt(np.maximum(b * b - 8 * c, 0.0)) - b) / 4
    return 2 * root + difference * (1 - difference)


def _check(n: int, confidence: float) -> None:
    if n < 1:
        raise ValueError(f"n = {n}: an interval needs at least one item")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence = {confidence}: must lie between 0 and 1")
