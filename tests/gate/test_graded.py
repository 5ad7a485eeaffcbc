"""Graded scores, such as those of chrF, are compared by the difference of every item."""

import numpy as np
import pytest

from tasks.gate.pairing import Graded, Pairs, of_scores
from tasks.gate.verdict import judge
from tests.gate.made_up import CONFIG


def test_zeros_and_ones_are_counted_and_all_else_is_graded() -> None:
    assert of_scores([1, 0, 1], [1, 1, 0]) == Pairs(gains=1, losses=1, n=3)
    found = of_scores([0.5, 0.25, 1.0], [0.5, 0.75, 1.0])
    assert isinstance(found, Graded)
    assert (found.difference, found.n) == (pytest.approx(0.5 / 3), 3)
    assert found.discordance == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("difference", "n", "verdict"),
    [
        (0.0, 1500, "pass"),
        (-0.1, 1500, "fail"),
        (-0.025, 1500, "inconclusive"),
        (0.0, 20, "inconclusive"),
    ],
)
def test_verdict_follows_the_one_sided_bounds(difference: float, n: int, verdict: str) -> None:
    found = judge(Graded(difference, 0.15, 0.4, n), CONFIG)
    assert found.verdict == verdict
    assert "their scores differ on 40% of the items" in found.reasons[0]
    if verdict == "inconclusive":
        assert found.required_items is not None
        assert found.required_items > n


def test_the_chance_of_passing_is_what_simulated_tests_say() -> None:
    """Seen here: mean 0 and deviation 0.2 of 400 items; a test of 300 is to come."""
    seen = Graded(difference=0.0, deviation=0.2, discordance=0.5, n=400)
    generator = np.random.default_rng(0)
    truths = generator.normal(0.0, 0.2 / np.sqrt(400), 4000)
    passed = [
        of_scores([0.5] * 300, 0.5 + generator.normal(truth, 0.2, 300)).compared(0.95).lower_bound
        > -0.03
        for truth in truths
    ]
    chance = seen.pass_probability(test_items=300, margin=0.03, confidence=0.95)
    assert chance == pytest.approx(np.mean(passed), abs=0.03)


@pytest.mark.parametrize(("n", "passes"), [(2, False), (60, False), (200, True)])
def test_models_that_never_differ_pass_only_on_enough_items(n: int, passes: bool) -> None:
    """The margin is 3 points, and of 100 items 3 in 100 may well be hidden."""
    same = of_scores([0.5, 0.75] * (n // 2), [0.5, 0.75] * (n // 2))
    assert (same.compared(0.95).lower_bound > -0.03) == passes
    assert (same.pass_probability(n, 0.03, 0.95) == 1) == passes
    assert same.worse_p(0.03) == 1


def test_two_items_that_lose_alike_prove_nothing() -> None:
    assert of_scores([0.5, 0.75], [0.375, 0.625]).worse_p(0.05) > 0.5
    assert of_scores([0.9, 0.3], [0.7, 0.1]).worse_p(0.05) > 0.5, "alike but for rounding"
    assert of_scores([0.5, 0.75] * 50, [0.375, 0.625] * 50).worse_p(0.05) < 0.01
