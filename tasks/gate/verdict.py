"""What the locked test says: pass, fail or inconclusive, with reasons in words.

    judge(Pairs(gains=12, losses=18, n=1000), config).verdict    "pass"

The candidate passes when the one-sided lower bound of its paired difference to the teacher lies
above -margin, and fails when the upper bound lies below it. Between the two the test was too
small to tell.
"""

from typing import NamedTuple

from tasks import intervals
from tasks.candidates_table import Verdict
from tasks.gate.config import GateConfig
from tasks.gate.pairing import Paired
from tasks.gate.selection import items_needed, points


class Judgement(NamedTuple):
    """A verdict on quality.

    Attributes:
        required_items: when inconclusive, how many test items would settle it; None when none
            would, because the measured difference is the margin itself.
    """

    verdict: Verdict
    difference: intervals.Comparison
    required_items: int | None
    reasons: tuple[str, ...]


def judge(pairs: Paired, config: GateConfig) -> Judgement:
    """The verdict of one look at the locked test."""
    difference = pairs.compared(config.confidence)
    seen = (
        f"on {pairs.n:,} locked test items the candidate is {points(difference.value)} against "
        f"the teacher; {pairs.seen()}"
    )
    margin = points(config.margin, signed=False)
    sure = f"with {config.confidence:.0%} confidence"
    if difference.lower_bound > -config.margin:
        found = f"{sure} {_within(difference.lower_bound)} the margin of {margin}"
        return Judgement("pass", difference, None, (seen, found))
    if difference.upper_bound < -config.margin:
        found = (
            f"{sure} it is at least {points(-difference.upper_bound, signed=False)} worse, more "
            f"than the margin of {margin}"
        )
        return Judgement("fail", difference, None, (seen, found))
    items = items_needed(pairs, config.margin, config)
    found = (
        f"{sure} it may be up to {points(-difference.lower_bound, signed=False)} worse, so the "
        f"test is too small to tell whether it keeps within the margin of {margin}"
    )
    return Judgement("inconclusive", difference, items, (seen, found, _remedy(items, config)))


def _within(lower_bound: float) -> str:
    if lower_bound > 0:
        return f"it is better by at least {points(lower_bound, signed=False)}, well within"
    return f"it is at most {points(-lower_bound, signed=False)} worse, less than"


def _remedy(items: int | None, config: GateConfig) -> str:
    if items is None:
        return (
            "the measured difference is exactly the margin: no number of test items settles that; "
            "make the candidate better or agree on another margin"
        )
    return (
        f"about {items:,} locked test items would settle it with "
        f"{config.min_pass_probability:.0%} probability if the rates stay as they are; items "
        "that were looked at do not become unseen again, so add fresh ones"
    )
