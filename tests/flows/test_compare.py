"""Any two releases, read from git while the checkout stands elsewhere."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from flows import compare
from flows.compare import UnknownReleaseError, main, resolve
from tasks.errors import DataError, StillhouseError
from tests.flows.conftest import git
from tests.flows.toy.tasks import step

RUNS = {"toy-smoke-1": ("11111111-aaaa", 0.900, 8), "toy-smoke-2": ("22222222-bbbb", 0.990, 16)}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with two finished runs; the first one has a version."""
    root = tmp_path / "checkout"
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch", "main")
    git(root, "config", "user.name", "Tester")
    git(root, "config", "user.email", "tester@localhost")
    git(root, "commit", "--quiet", "--allow-empty", "--message", "code")
    for name, (run, quality, rank) in RUNS.items():
        git(root, "checkout", "--quiet", "-b", f"run/{run}", "main")
        git(root, "commit", "--quiet", "--allow-empty", "-m", f"run {name}\n\nFlow-Run: {run}")
        write_release(root, quality, rank)
        git(root, "add", "--all")
        git(root, "commit", "--quiet", "--message", "measured by report")
    git(root, "checkout", "--quiet", "main")
    git(root, "tag", "-a", "toy@v0.0.1", "run/11111111-aaaa", "-m", "passed")
    monkeypatch.chdir(root)
    monkeypatch.setenv("STILLHOUSE_STATE", str(tmp_path / "state"))
    return root


def write_release(root: Path, quality: float, rank: int) -> None:
    gate = step.gate()
    gate["candidate"]["quality"] = {"n": 1000, "value": quality}
    gate["candidate"]["quality"] |= {"low": quality - 0.01, "high": quality + 0.01}
    evaluations = {f"evaluate/{name}": step.evaluation(name) for name in ("teacher", "small")}
    for name, content in {"gate": gate, **evaluations}.items():
        file = root / "reports" / f"{name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content))
    (root / "params.yaml").write_text(f"workload: toy\nfinetune: {{lora: {{rank: {rank}}}}}\n")
    (root / "constraints.txt").write_text(f"# pins==0\ntorch==2.{rank}.0\nsame==1.0\n")


@pytest.mark.parametrize(
    "name",
    ["v0.0.1", "toy@v0.0.1", "toy-smoke-1", "run/11111111-aaaa", "11111111-aaaa", "COMMIT"],
)
def test_a_release_is_found_by_version_run_branch_and_commit(checkout: Path, name: str) -> None:
    commit = git(checkout, "rev-parse", "run/11111111-aaaa")
    assert resolve(checkout, commit[:10] if name == "COMMIT" else name, "toy") == commit


def test_a_table_is_printed_a_page_is_written_and_the_checkout_is_left_alone(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = git(checkout, "rev-parse", "HEAD")
    main(["v0.0.1", "toy-smoke-2", "--workload", "toy"])
    shown = re.sub(r" {2,}", "  ", capsys.readouterr().out)
    for expected in (
        "figure  v0.0.1  toy-smoke-2",
        "teacher: accuracy, locked test  90.0% (88.0% to 92.0%)  90.0% (88.0% to 92.0%)  same",
        "chosen: accuracy, locked test  90.0% (89.0% to 91.0%)  99.0% (98.0% to 100.0%)  differs",
        "finetune.lora.rank: 8 -> 16",
        "torch: 2.8.0 -> 2.16.0",
    ):
        assert expected in shown, expected
    assert "same: 1.0" not in shown
    page = (checkout.parent / "state/compare/v0.0.1..toy-smoke-2.html").read_text()
    assert "finetune.lora.rank" in page
    assert git(checkout, "rev-parse", "HEAD") == before
    assert git(checkout, "status", "--porcelain") == ""


def test_an_unknown_name_is_answered_with_what_exists(checkout: Path) -> None:
    with pytest.raises(UnknownReleaseError) as caught:
        main(["v9.9.9", "toy-smoke-1", "--workload", "toy"])
    for expected in ("v9.9.9", "toy@v0.0.1", "toy-smoke-1", "toy-smoke-2"):
        assert expected in str(caught.value)


def test_a_commit_at_which_no_release_ended_is_said_to_be_one(checkout: Path) -> None:
    with pytest.raises(UnknownReleaseError, match=r"main: commit .* has no reports/gate\.json"):
        main(["main", "toy-smoke-1"])


def test_a_name_that_looks_like_an_option_is_no_option_of_git(checkout: Path) -> None:
    with pytest.raises(UnknownReleaseError, match="no version, run, branch"):
        compare.release(checkout, "--all", "toy")


def test_a_name_left_out_is_answered_with_the_usage(checkout: Path) -> None:
    with pytest.raises(StillhouseError, match=r"make compare A=.*toy@v0\.0\.1"):
        main(["", "toy-smoke-1"])


def test_a_broken_report_is_named_with_its_commit(checkout: Path) -> None:
    broken: dict[str, Any] = {"workload": "toy"}
    (checkout / "reports").mkdir()
    (checkout / "reports/gate.json").write_text(json.dumps(broken))
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "--message", "broken")
    with pytest.raises(DataError, match=r"[0-9a-f]{12}:reports/gate\.json: not the report"):
        main(["main", "toy-smoke-1"])
