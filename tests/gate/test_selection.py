"""A candidate's prospects are judged from validation and the test's size alone."""

import pytest

from tasks.gate.pairing import Pairs
from tasks.gate.selection import Evaluated, choose
from tests.gate.made_up import CONFIG, answers, evaluation


def test_pass_probability_grows_with_the_test() -> None:
    pairs = Pairs(gains=20, losses=22, n=600)
    small, large = (pairs.pass_probability(items, 0.03, 0.95) for items in (200, 2000))
    assert small < 0.6 < 0.9 < large


def test_pass_probability_knows_that_a_small_validation_proves_little() -> None:
    sure = Pairs(gains=40, losses=40, n=2000).pass_probability(2000, 0.03, 0.95)
    unsure = Pairs(gains=1, losses=1, n=50).pass_probability(2000, 0.03, 0.95)
    assert sure > 0.99
    assert unsure < 0.9


def test_pass_probability_is_the_same_every_time() -> None:
    pairs = Pairs(gains=10, losses=14, n=500)
    assert pairs.pass_probability(800, 0.03, 0.95) == pairs.pass_probability(800, 0.03, 0.95)


def test_pass_probability_at_the_margin_is_about_one_in_twenty() -> None:
    pairs = Pairs(gains=200_000, losses=500_000, n=10_000_000)
    assert pairs.pass_probability(1000, 0.03, 0.95) == pytest.approx(0.05, abs=0.01)


def test_what_a_candidate_lacks_is_said_with_the_items_that_would_be_enough() -> None:
    teacher = Evaluated(evaluation("teacher", 0.01, "teacher"), answers(600, range(60)))
    near = Evaluated(evaluation("near", 0.001), answers(600, range(10, 75)))
    selection = choose(teacher, [near], CONFIG, test_items=300)
    assert selection.chosen is None
    decision = selection.considered[0].decision
    assert "80% is asked: on validation it is -0.8 points against the teacher" in decision
    assert "test items would be enough" in decision


def test_a_dear_candidate_is_not_chosen_however_good() -> None:
    teacher = Evaluated(evaluation("teacher", 0.01, "teacher"), answers(600, range(60)))
    dear = Evaluated(evaluation("dear", 0.002), answers(600))
    selection = choose(teacher, [dear], CONFIG, test_items=1000)
    assert selection.chosen is None
    assert selection.considered[0].pass_probability == pytest.approx(1.0, abs=1e-3)
