"""Further metrics and slices must not get worse either."""

from pathlib import Path

import pytest

from tasks.candidates_table import GateReport
from tasks.errors import DataError
from tasks.gate.config import GateConfig
from tasks.gate.decide import decide
from tasks.gate.selection import Evaluated
from tasks.records import Prediction
from tests.gate.made_up import CONFIG, evaluation, locked_test, run
from tests.tiny import TASK


def told(n: int, wrong: range, language: str = "de") -> list[Prediction]:
    """Answers to `n` items, every tenth about something rare, each in one of two languages."""
    made = []
    for item in range(n):
        reference = "negative" if item % 10 == 0 else "positive"
        other = "positive" if reference == "negative" else "negative"
        answer = other if item in wrong else reference
        metadata = {"language": language if item < n // 5 else "en"}
        made.append(
            Prediction(
                id=f"{item:04}",
                reference=reference,
                answer=answer,
                score=float(answer == reference),
                metadata=metadata,
            )
        )
    return made


def gate(
    folder: Path, teacher: range, candidate: range, config: GateConfig, slices: tuple[str, ...] = ()
) -> GateReport:
    items = 1000
    small = Evaluated(evaluation("small", 0.001), told(600, range(60)))
    base = run(locked_test(folder, items), small)
    same = {**base.evaluated, "teacher": base.evaluated["teacher"]._replace(predictions=small[1])}
    given = base._replace(task=TASK.model_copy(update={"slices": slices}), evaluated=same)
    wrong = {"teacher": teacher, "small": candidate}
    return decide(given, config, lambda side, _: told(items, wrong[side.name])).report


def test_a_candidate_that_only_loses_the_rare_label_fails_its_guard(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"guards": {"macro_f1": 0.03}, "margin": 0.1})
    report = gate(tmp_path, range(0), range(0, 600, 10), config)
    assert report.difference is not None
    assert report.difference.lower_bound > -0.1
    [guard] = report.guards
    assert (guard.verdict, report.verdict) == ("fail", "fail")
    assert any(
        "macro_f1 is -" in reason and "beyond its margin" in reason for reason in report.reasons
    )


def test_a_guard_that_holds_lets_pass(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"guards": {"macro_f1": 0.05}})
    report = gate(tmp_path, range(5, 100), range(10, 105), config)
    assert [guard.verdict for guard in report.guards] == ["pass"]
    assert report.verdict == "pass"
    assert not report.superior
    assert report.agreement is not None
    assert report.agreement.value == pytest.approx(0.99)


def test_a_slice_that_is_shown_to_be_worse_fails_a_candidate_that_is_fine_on_the_whole(
    tmp_path: Path,
) -> None:
    config = CONFIG.model_copy(update={"slice_margin": 0.05, "margin": 0.06})
    report = gate(tmp_path, range(200, 240), range(40), config, ("language",))
    assert report.difference is not None
    assert report.difference.value == 0
    worse = {part.value: part.worse for part in report.slices}
    assert worse == {"de": True, "en": False}
    assert report.verdict == "fail"
    assert any("where language is de (200 items) it is -20.0 points" in r for r in report.reasons)


def test_without_a_slice_margin_slices_are_told_and_nothing_more(tmp_path: Path) -> None:
    report = gate(tmp_path, range(200, 240), range(40), CONFIG, ("language",))
    assert [part.n for part in report.slices] == [200, 800]
    assert not any(part.worse for part in report.slices)


def test_superior_is_said_only_when_it_was_shown(tmp_path: Path) -> None:
    assert gate(tmp_path, range(100), range(60), CONFIG).superior
    assert not gate(tmp_path, range(100), range(2, 101), CONFIG).superior


def test_a_slice_by_a_field_that_records_lack_is_an_error_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no metadata region.*prepare\.metadata\.region"):
        gate(tmp_path, range(10), range(10), CONFIG, ("region",))


def test_a_candidate_that_loses_a_guard_on_validation_is_not_put_to_the_test(
    tmp_path: Path,
) -> None:
    config = CONFIG.model_copy(update={"guards": {"macro_f1": 0.03}, "margin": 0.1})
    items = locked_test(tmp_path, 1000)
    small = Evaluated(evaluation("small", 0.001), told(600, range(0, 600, 20)))
    base = run(items, small)
    teacher = base.evaluated["teacher"]._replace(predictions=told(600, range(0)))
    given = base._replace(evaluated={**base.evaluated, "teacher": teacher})
    report = decide(given, config, lambda *_: pytest.fail("the locked test was looked at")).report
    assert (report.verdict, report.test) == ("fail", None)
    [considered] = report.considered
    assert "its chance of being shown within 3.0 points of the teacher's macro_f1 is" in (
        considered.decision
    )


def test_a_guard_that_is_not_settled_says_how_many_items_would(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"guards": {"macro_f1": 0.05}, "margin": 0.1})
    report = gate(tmp_path, range(5, 100), range(122), config)
    [guard] = report.guards
    assert (guard.verdict, report.verdict) == ("inconclusive", "inconclusive")
    assert guard.required_items is not None
    assert report.required_items is not None
    assert report.required_items >= guard.required_items > 1000
