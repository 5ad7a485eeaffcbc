"""How often the gate errs, over thousands of gates whose truth is known."""

import pytest

from benchmarks.simulated_gates import (
    ALARM,
    CONFIG,
    GUARDED,
    WORLDS,
    World,
    simulate,
    summary,
)


@pytest.mark.parametrize("name", [name for name in WORLDS if name.startswith("at the margin")])
def test_candidates_at_the_margin_pass_falsely_at_most_once_in_twenty(name: str) -> None:
    found = summary(simulate(WORLDS[name], 500))
    assert found["passes"]["value"] <= 1 - CONFIG.confidence
    assert found["passes"]["low"] <= found["passes"]["value"] <= found["passes"]["high"]


@pytest.mark.parametrize(("name", "wrong"), [(ALARM, "failures"), (GUARDED, "passes")])
def test_slices_and_guards_at_their_margin_err_no_more_than_one_test(name: str, wrong: str) -> None:
    found = summary(simulate(WORLDS[name], 200))
    assert found[wrong]["low"] <= 1 - CONFIG.confidence
    assert found[wrong]["value"] <= 0.1


@pytest.mark.parametrize("name", ["equal to the teacher", "equal to the teacher, graded scores"])
def test_an_equal_candidate_passes_at_least_four_times_in_five(name: str) -> None:
    found = summary(simulate(WORLDS[name], 300))
    assert found["passes"]["low"] >= 0.8


def test_gate_says_inconclusive_when_the_locked_test_has_fifty_rows() -> None:
    verdicts = simulate(WORLDS["equal to the teacher, 50 test items"], 100)
    assert verdicts["pass"] == 0
    assert verdicts["inconclusive"] >= 90


def test_a_candidate_that_is_much_worse_fails() -> None:
    verdicts = simulate(World(difference=-0.08), 100)
    assert verdicts["fail"] == 100
