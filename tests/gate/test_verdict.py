"""One look gives one of three verdicts, in words."""

import pytest

from tasks.gate.pairing import Pairs
from tasks.gate.verdict import judge
from tests.gate.made_up import CONFIG


@pytest.mark.parametrize(
    ("pairs", "verdict"),
    [
        (Pairs(gains=20, losses=20, n=1000), "pass"),
        (Pairs(gains=0, losses=0, n=1000), "pass"),
        (Pairs(gains=0, losses=0, n=50), "inconclusive"),
        (Pairs(gains=20, losses=40, n=1000), "inconclusive"),
        (Pairs(gains=20, losses=80, n=1000), "fail"),
    ],
)
def test_verdict_follows_the_one_sided_bounds(pairs: Pairs, verdict: str) -> None:
    found = judge(pairs, CONFIG)
    assert found.verdict == verdict
    assert (found.required_items is not None) == (verdict == "inconclusive")


def test_more_items_are_asked_for_than_there_were() -> None:
    found = judge(Pairs(gains=20, losses=40, n=1000), CONFIG)
    assert found.required_items is not None
    assert found.required_items > 1000


def test_a_difference_that_is_the_margin_says_that_no_number_settles_it() -> None:
    found = judge(Pairs(gains=20, losses=50, n=1000), CONFIG)
    assert (found.verdict, found.required_items) == ("inconclusive", None)
    assert "no number of test items settles that" in found.reasons[-1]


def test_a_better_candidate_is_not_called_worse() -> None:
    found = judge(Pairs(gains=100, losses=10, n=1000), CONFIG)
    assert "it is better by at least" in found.reasons[-1]
