"""What tells two releases apart, and what is noise."""

from pathlib import Path

import pytest

from tasks import candidates_table
from tasks.report.compare import Cell, Release, changes, compare, drawn_pair, html, judged, plain
from tests.report.made_up import PARAMS, PREPARED, write_run


def release(root: Path, name: str, verdict: str = "pass") -> Release:
    write_run(root / name, verdict)
    gate = candidates_table.gate_report(root / name)
    assert gate is not None
    found = tuple(candidates_table.evaluations(root / name))
    return Release(name, "c0" * 20, gate, found, PARAMS, PREPARED, {"torch": "2.13.0"})


@pytest.mark.parametrize(
    ("first", "second", "word"),
    [
        (Cell(0.90, 0.88, 0.92), Cell(0.91, 0.89, 0.93), "within noise"),
        (Cell(0.90, 0.88, 0.92), Cell(0.96, 0.94, 0.98), "differs"),
        (Cell(0.96, 0.94, 0.98), Cell(0.90, 0.88, 0.92), "differs"),
        (Cell(0.90, 0.88, 0.92), Cell(0.94, 0.92, 0.96), "within noise"),
        (Cell(0.90, 0.88, 0.92), Cell(0.90, 0.88, 0.92), "same"),
        (Cell(70.0, None, None), Cell(71.0, None, None), "no interval"),
        (None, Cell(71.0, None, None), "only in one"),
    ],
)
def test_overlapping_intervals_are_noise(first: Cell | None, second: Cell, word: str) -> None:
    assert judged(first, second) == word


def test_nested_values_that_differ_are_told_by_their_dotted_keys() -> None:
    first = {"a": {"b": 1, "c": [1, 2]}, "only": {"here": 1}}
    second = {"a": {"b": 2, "c": [1, 2]}, "new": None}
    assert changes(first, second) == (
        ("a.b", "1", "2"),
        ("only.here", "1", "-"),
        ("new", "-", "None"),
    )


def test_a_release_beside_itself_differs_in_nothing(tmp_path: Path) -> None:
    one = release(tmp_path, "one")
    found = compare(one, one)
    assert {each.word for each in found.figures} == {"same"}
    assert (found.warnings, found.parameters, found.data, found.libraries) == ((), (), (), ())
    assert "Parameters that differ: none" in plain(found)


def test_other_data_other_tests_and_other_machines_are_warned_of(tmp_path: Path) -> None:
    one, two = release(tmp_path, "one"), release(tmp_path, "two")
    assert two.gate.test is not None
    test = two.gate.test.model_copy(update={"sha256": "00" * 32})
    gate = two.gate.model_copy(update={"test": test, "data_hash": "11" * 32})
    machine = two.evaluations[0].model_copy(update={"hardware": {"cores": 64}})
    other = two._replace(gate=gate, evaluations=(machine, *two.evaluations[1:]))
    found = compare(one, other)
    assert len(found.warnings) == 3
    assert "Mind: the locked tests differ" in plain(found)
    assert [each.key for each in found.data] == ["data", "data.test"]
    assert ("cores", "2", "64") in found.hardware


def test_a_release_without_a_candidate_can_be_compared(tmp_path: Path) -> None:
    found = compare(release(tmp_path, "one"), release(tmp_path, "two", "fail"))
    figures = {each.name: each for each in found.figures}
    assert figures["chosen: accuracy, locked test"].second is None
    assert figures["chosen: accuracy, locked test"].word == "only in one"
    assert figures["small-int8: quality, validation"].word == "same"


def test_the_page_is_escaped_and_draws_intervals_that_differ(tmp_path: Path) -> None:
    one, two = release(tmp_path, "one"), release(tmp_path, "two")
    cheaper = two.evaluations[0].cost.model_copy(
        update={"per_1000_requests": candidates_table.Span(value=0.001, low=0.0009, high=0.0011)}
    )
    changed = two.evaluations[0].model_copy(update={"cost": cheaper})
    other = two._replace(evaluations=(changed, *two.evaluations[1:]))
    found = compare(one, other)
    [drawn] = [each for each in found.figures if drawn_pair(each)]
    assert (drawn.word, drawn.timing) == ("differs", True)
    page = html(found)
    assert page.count('<svg class="strip') == 2
    assert "margin &lt;of 3.0&gt;" in page
    assert "<script" not in page
