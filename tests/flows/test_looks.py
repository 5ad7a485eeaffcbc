"""Every look at the locked test is counted, once."""

import json
from pathlib import Path

import pytest

from flows import looks
from flows.worktree import Worktree
from tasks.candidates_table import GateReport
from tasks.sketch import sketch
from tests.flows.conftest import git
from tests.flows.toy.tasks import step


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Worktree:
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "a run")
    monkeypatch.setenv("STILLHOUSE_STATE", str(tmp_path / ".stillhouse"))
    (tmp_path / "reports").mkdir()
    return Worktree(tmp_path, "toy-smoke-1", tmp_path)


def look(run: Worktree, items: range, reason: str) -> looks.Looks | None:
    """A gate that asked models the items; `reason` tells it from others that did."""
    told = step.gate() | {"reasons": [reason], "max_looks": 2}
    test = {"n": len(items), "sha256": str(items), "sketch": sketch(map(str, items))}
    gate = GateReport.model_validate(told | {"test": test})
    (run.root / "reports/gate.json").write_text(json.dumps(gate.model_dump(mode="json")))
    return looks.record(run, gate)


def test_the_same_answers_are_one_look(run: Worktree) -> None:
    assert look(run, range(100), "first") == look(run, range(100), "first") == looks.Looks(1, 2)
    assert len(git(run.root, "tag", "--list", "look/*").splitlines()) == 1


def test_a_test_that_was_extended_is_still_the_same_one(run: Worktree) -> None:
    look(run, range(100), "first")
    assert look(run, range(120), "ten more") == looks.Looks(2, 2)
    third = look(run, range(130), "and again")
    assert third == looks.Looks(3, 2)
    assert third is not None
    assert third.exhausted
    assert "prepare.split.salt" in str(third)


def test_a_refreshed_test_is_counted_anew(run: Worktree) -> None:
    look(run, range(100), "first")
    look(run, range(100), "second")
    fresh = look(run, range(80, 180), "refreshed")
    assert fresh == looks.Looks(1, 2)
    assert fresh is not None
    assert not fresh.exhausted


def test_a_gate_that_did_not_look_leaves_no_trace(run: Worktree) -> None:
    gate = GateReport.model_validate(step.gate() | {"test": None})
    assert looks.record(run, gate) is None
    assert git(run.root, "tag", "--list") == ""
