"""Twenty examples, the worst disagreements first, always the same ones."""

from pathlib import Path

import pytest

from tasks import candidates_table, records
from tasks.errors import DataError
from tasks.records import Prediction, Record
from tasks.report.side_by_side import QUOTA, SHOWN, SideBySide, choose, compare, gather
from tests.report.made_up import BETTER, ITEMS, WORSE, WRONG, record, write_run


def gathered(root: Path) -> SideBySide:
    found = gather(root, candidates_table.load(root))
    assert found is not None
    return found


def answer(name: str, score: float) -> Prediction:
    return Prediction(id=name, reference="positive", answer=f"answer of {score}", score=score)


def asked(*names: str) -> list[Record]:
    return [Record.model_validate(record(name, name)) for name in names]


def test_twenty_are_shown_and_some_of_each_kind_in_the_order_of_how_bad_they_are(
    tmp_path: Path,
) -> None:
    write_run(tmp_path)
    found = gathered(tmp_path)
    kinds = [example.kind for example in found.examples]
    assert len(kinds) == SHOWN
    assert kinds == [kind for kind, quota in QUOTA.items() for _ in range(quota)]
    assert found.counts == {
        "worse": WORSE,
        "better": BETTER,
        "wrong": WRONG,
        "right": ITEMS - WORSE - BETTER - WRONG,
    }
    assert (found.teacher, found.candidate, found.graded) == ("lora-fp32", "small-int8", False)
    assert found.system == "Is <this> review positive & good?"
    assert gathered(tmp_path) == found


def test_the_widest_gap_comes_first_and_what_a_kind_lacks_the_others_fill() -> None:
    names = [f"{number:02d}" for number in range(30)]
    teacher = [answer(name, 0.9) for name in names]
    candidate = [answer(name, number / 40) for number, name in enumerate(names)]
    shown = choose(compare(asked(*reversed(names)), teacher, candidate))
    assert [example.id for example in shown] == names[:SHOWN]
    assert {example.kind for example in shown} == {"worse"}


def test_what_was_not_asked_on_validation_or_only_one_answered_is_left_out() -> None:
    teacher = [answer("a", 1), answer("b", 1), answer("locked", 1)]
    candidate = [answer("a", 0), answer("c", 1), answer("locked", 0)]
    assert [example.id for example in compare(asked("a", "b", "c"), teacher, candidate)] == ["a"]


def test_words_of_the_system_that_differ_are_told_with_the_request() -> None:
    records_ = asked("a", "b")
    system = records_[1].messages[0] | {"content": "Be brief."}
    other = records_[1].model_copy(update={"messages": [system, records_[1].messages[1]]})
    shown = compare([records_[0], other], [answer("a", 1), answer("b", 1)], [answer("b", 0)])
    assert [example.request for example in shown] == ["system: Be brief.\nuser: b"]


def test_without_a_chosen_candidate_the_best_one_on_validation_is_shown(tmp_path: Path) -> None:
    write_run(tmp_path, "fail")
    assert gathered(tmp_path).candidate == "lora-int8"


def test_scores_between_0_and_1_are_told_as_scores(tmp_path: Path) -> None:
    write_run(tmp_path)
    file = tmp_path / "data/evaluate/small-int8/predictions.jsonl"
    rows = records.read(file, Prediction)
    records.write(file, [rows[0].model_copy(update={"score": 0.4}), *rows[1:]])
    assert gathered(tmp_path).graded


def test_missing_answers_give_no_examples_and_broken_ones_are_named(tmp_path: Path) -> None:
    write_run(tmp_path)
    file = tmp_path / "data/evaluate/small-int8/predictions.jsonl"
    file.write_text("{}\n")
    with pytest.raises(DataError, match=r"predictions\.jsonl: line 1"):
        gathered(tmp_path)
    file.unlink()
    assert gather(tmp_path, candidates_table.load(tmp_path)) is None
