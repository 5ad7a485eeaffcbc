"""The gate looks at the locked test once, for one candidate, or not at all."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tasks.candidates_table import Evaluation
from tasks.errors import DataError
from tasks.gate.decide import decide
from tasks.gate.selection import Evaluated
from tasks.records import Prediction, Record
from tests.gate.made_up import CONFIG, answers, evaluation, locked_test, run


class Model:
    """Answers the locked test wrongly on the given items and notes who was asked."""

    def __init__(self, **wrong: range) -> None:
        self.wrong, self.asked = wrong, list[str]()

    def __call__(self, report: Evaluation, items: Sequence[Record]) -> Sequence[Prediction]:
        self.asked.append(report.name)
        return answers(len(items), self.wrong[report.name])


def never(report: Evaluation, items: Sequence[Record]) -> Sequence[Prediction]:
    raise AssertionError("the locked test was looked at")


def like_teacher(name: str, cost: float) -> Evaluated:
    return Evaluated(evaluation(name, cost), answers(600, range(60)))


def bad(name: str, cost: float) -> Evaluated:
    return Evaluated(evaluation(name, cost), answers(600, range(120)))


def test_gate_passes_a_candidate_that_keeps_within_the_margin(tmp_path: Path) -> None:
    model = Model(teacher=range(100), small=range(5, 105))
    decision = decide(run(locked_test(tmp_path, 1000), like_teacher("small", 0.001)), CONFIG, model)
    report = decision.report
    assert (report.verdict, report.chosen) == ("pass", "small")
    assert report.teacher.quality.value == report.candidate.quality.value == 0.9  # type: ignore[union-attr]
    assert report.difference is not None
    assert report.difference.lower_bound > -0.03
    assert report.cost_ratio == pytest.approx(0.1)
    assert report.cost_ratios == {"teacher": pytest.approx(10.0)}
    assert report.test is not None
    assert report.test.n == 1000
    assert "10.0 times cheaper" in report.reasons[-1]
    assert set(decision.answers) == {"teacher", "small"}


def test_gate_fails_a_candidate_that_is_worse_than_the_margin(tmp_path: Path) -> None:
    model = Model(teacher=range(0), small=range(100))
    report = decide(
        run(locked_test(tmp_path, 1000), like_teacher("small", 0.001)), CONFIG, model
    ).report
    assert (report.verdict, report.required_items) == ("fail", None)
    assert "more than the margin of 3.0 points" in " ".join(report.reasons)


def test_gate_says_inconclusive_when_the_interval_is_wide(tmp_path: Path) -> None:
    model = Model(teacher=range(10), small=range(5, 17))
    report = decide(
        run(locked_test(tmp_path, 100), like_teacher("small", 0.001)),
        CONFIG.model_copy(update={"min_pass_probability": 0.5}),
        model,
    ).report
    assert report.verdict == "inconclusive"
    assert report.required_items is not None
    assert report.required_items > 100
    assert f"about {report.required_items:,} locked test items" in " ".join(report.reasons)


def test_the_cheapest_candidate_that_qualifies_is_looked_at_and_no_other(tmp_path: Path) -> None:
    model = Model(teacher=range(100), cheap=range(100))
    given = run(
        locked_test(tmp_path, 1000),
        like_teacher("dear", 0.0015),
        like_teacher("cheap", 0.001),
        bad("cheapest", 0.0001),
    )
    report = decide(given, CONFIG, model).report
    assert model.asked == ["teacher", "cheap"]
    assert [each.name for each in report.considered] == ["cheapest", "cheap", "dear"]


def test_the_locked_test_is_not_looked_at_when_nothing_qualifies(tmp_path: Path) -> None:
    test = locked_test(tmp_path, 1000)
    test.write_text("not even a record\n" * 1000)
    given = run(test, bad("bad", 0.001), like_teacher("dear", 0.005))
    report = decide(given, CONFIG, never).report
    assert (report.verdict, report.chosen, report.test) == ("fail", None, None)
    assert report.teacher.split == "validation"
    reasons = "\n".join(report.reasons)
    assert "keep the teacher" in reasons
    assert "bad was not put to the test: its chance of passing the locked test is 0%" in reasons
    assert "it costs 0.500 of the teacher's price, and at most 0.167 is allowed" in reasons


def test_a_test_too_small_for_an_equal_candidate_is_inconclusive(tmp_path: Path) -> None:
    given = run(locked_test(tmp_path, 50), like_teacher("equal", 0.001))
    report = decide(given, CONFIG, never).report
    assert (report.verdict, report.chosen, report.test) == ("inconclusive", None, None)
    assert report.required_items is not None
    assert report.required_items > 50
    needed = f"about {report.required_items:,} items would with 80% probability"
    assert any(
        "equal may be good enough" in reason and needed in reason for reason in report.reasons
    )


def test_no_candidate_at_all_keeps_the_teacher(tmp_path: Path) -> None:
    report = decide(run(locked_test(tmp_path, 10)), CONFIG, never).report
    assert report.verdict == "fail"
    assert "no entry of evaluate.candidates has the role candidate" in report.reasons


def test_baselines_are_never_chosen(tmp_path: Path) -> None:
    baseline = Evaluated(evaluation("tfidf", 0.00001, "baseline"), answers(600, range(60)))
    assert decide(run(locked_test(tmp_path, 1000), baseline), CONFIG, never).report.chosen is None


def test_a_reference_that_was_not_evaluated_is_named(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"cost_references": ("lora-int8",)})
    with pytest.raises(DataError, match=r"data/evaluate/lora-int8/report\.json: missing"):
        decide(run(locked_test(tmp_path, 10)), config, never)


def test_an_empty_locked_test_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no items"):
        decide(run(locked_test(tmp_path, 0)), CONFIG, never)
