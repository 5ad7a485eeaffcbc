"""A release in use gives way only to one that is better."""

from pathlib import Path

import pytest

from tasks.candidates_table import Verdict
from tasks.gate.decide import decide
from tasks.gate.selection import Evaluated
from tests.gate.made_up import CONFIG, answers, evaluation, locked_test, run
from tests.gate.test_decide import Model, like_teacher, never

CHALLENGED = CONFIG.model_copy(update={"champion": "champion"})


def champion(cost: float, wrong: range = range(60)) -> Evaluated:
    report = evaluation("champion", cost, "champion")
    return Evaluated(report.model_copy(update={"model_hash": "ef" * 32}), answers(600, wrong))


@pytest.mark.parametrize(
    ("price", "wrong", "verdict", "reason"),
    [
        (0.0015, range(100), "pass", "1.50 times cheaper by more than noise"),
        (0.0015, range(250), "fail", "more than the margin"),
        (0.0015, range(20, 140), "inconclusive", "too small to tell"),
        (0.00101, range(50), "pass", "better by more than noise"),
        (0.00101, range(100), "fail", "not cheaper by more than noise: keep the release in use"),
    ],
)
def test_a_champion_gives_way_to_what_is_no_worse_and_cheaper_or_better(
    tmp_path: Path, price: float, wrong: range, verdict: Verdict, reason: str
) -> None:
    """On the test the candidate equals the teacher, and the champion is wrong on a hundred."""
    model = Model(teacher=wrong, champion=range(100), small=wrong)
    # On validation the candidate looks better than the champion, so it is put to the test.
    small = Evaluated(evaluation("small", 0.001), answers(600, range(10, 60)))
    given = run(locked_test(tmp_path, 1000), champion(price, range(95)), small)
    report = decide(given, CHALLENGED, model).report
    assert model.asked == ["teacher", "champion", "small"]
    assert report.verdict == verdict
    assert any(reason in each for each in report.reasons), report.reasons
    assert report.champion is not None
    assert report.champion_difference is not None
    assert report.champion_difference.value == pytest.approx((100 - len(wrong)) / 1000)


def test_an_equal_of_the_champion_is_not_even_put_to_the_test(tmp_path: Path) -> None:
    given = run(locked_test(tmp_path, 1000), champion(0.001), like_teacher("small", 0.001))
    report = decide(given, CHALLENGED, never).report
    assert report.verdict == "fail"
    assert "keep the release in use" in report.reasons[0]
    assert "not cheaper than the release in use by more than noise" in report.reasons[1]


def test_the_champion_itself_is_recognized(tmp_path: Path) -> None:
    same = champion(0.001)
    small = like_teacher("small", 0.0005)
    hashed = small.report.model_copy(update={"model_hash": same.report.model_hash})
    given = run(locked_test(tmp_path, 1000), same, Evaluated(hashed, small.predictions))
    report = decide(given, CHALLENGED, never).report
    assert "it is the release in use" in report.reasons[1]
    assert report.champion is not None
    assert report.champion.split == "validation"


def test_a_single_repeat_never_shows_a_saving_over_the_champion(tmp_path: Path) -> None:
    small = like_teacher("small", 0.0005)
    once = small.report.model_dump()
    once["cost"] |= {"repeats": ()}
    unsure = Evaluated(type(small.report).model_validate(once), small.predictions)
    given = run(locked_test(tmp_path, 1000), champion(0.001), unsure)
    assert decide(given, CHALLENGED, never).report.verdict == "fail"
