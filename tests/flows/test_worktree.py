from pathlib import Path

import pytest

from flows import worktree
from tests.flows.conftest import House, git


def write_params(root: Path) -> None:
    (root / "params.yaml").write_text("a: 1\n")


def test_a_run_works_on_its_own_branch_and_the_checkout_stays_as_it_is(house: House) -> None:
    head = git(house.root, "rev-parse", "HEAD")
    made = worktree.open_worktree(house.root, "run-a", "toy-smoke", write_params)
    assert made.root == house.state / "runs" / "run-a"
    assert made.name == "toy-smoke-1"
    assert git(made.root, "branch", "--show-current") == "run/run-a"
    assert git(made.root, "show", "HEAD:params.yaml") == "a: 1"
    assert git(house.root, "rev-parse", "HEAD") == head
    assert git(house.root, "status", "--porcelain") == ""


def test_a_retried_run_finds_its_worktree_and_keeps_its_parameters(house: House) -> None:
    first = worktree.open_worktree(house.root, "run-a", "toy-smoke", write_params)
    (first.root / "reports" / "gate.json").write_text("{}")
    assert first.commit("measured by gate")
    assert not first.commit("measured by gate")
    again = worktree.open_worktree(
        house.root, "run-a", "toy-smoke", lambda root: pytest.fail("anew")
    )
    assert again == first
    assert git(again.root, "log", "-1", "--format=%s") == "measured by gate"


def test_a_worktree_that_was_deleted_is_checked_out_again(house: House) -> None:
    first = worktree.open_worktree(house.root, "run-a", "toy-smoke", write_params)
    git(house.root, "worktree", "remove", "--force", str(first.root))
    again = worktree.open_worktree(house.root, "run-a", "toy-smoke", write_params)
    assert (again.root / "params.yaml").exists()
    assert (again.root / ".dvc" / "config.local").exists()


def test_runs_are_numbered_for_each_workload_and_budget(house: House) -> None:
    names = [
        worktree.open_worktree(house.root, run, prefix, write_params).name
        for run, prefix in [("a", "toy-smoke"), ("b", "toy-smoke"), ("c", "toy-quick")]
    ]
    assert names == ["toy-smoke-1", "toy-smoke-2", "toy-quick-1"]


def test_a_failed_preparation_is_done_again(house: House) -> None:
    def fail(root: Path) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        worktree.open_worktree(house.root, "a", "toy-smoke", fail)
    assert not worktree.begun(house.root, "a")
    assert worktree.open_worktree(house.root, "a", "toy-smoke", write_params).name == "toy-smoke-1"


def test_dvc_settings_of_the_checkout_are_kept_and_the_cache_is_shared(house: House) -> None:
    (house.root / ".dvc" / "config.local").write_text("[core]\n    remote = mine\n")
    made = worktree.open_worktree(house.root, "a", "toy-smoke", write_params)
    text = (made.root / ".dvc" / "config.local").read_text()
    assert "remote = mine" in text
    assert f"dir = {house.state / 'cache'}" in text


def test_hooks_of_the_user_are_not_run(house: House) -> None:
    hook = house.root / ".git" / "hooks" / "post-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ntouch ../../../hook-ran\n")
    hook.chmod(0o755)
    made = worktree.open_worktree(house.root, "a", "toy-smoke", write_params)
    assert not (made.root / "../../../hook-ran").resolve().exists()


def test_commits_have_an_author_where_git_knows_none(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(house.root, "config", "--unset", "user.email")
    git(house.root, "config", "--unset", "user.name")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    made = worktree.open_worktree(house.root, "a", "toy-smoke", write_params)
    assert git(made.root, "log", "-1", "--format=%an") == "Stillhouse"


def test_a_finished_run_keeps_the_package_and_what_git_tracks(house: House) -> None:
    made = worktree.open_worktree(house.root, "a", "toy-smoke", write_params)
    for folder in ("models/package", "models/finetune/lora", "data/prepared"):
        (made.root / folder).mkdir(parents=True)
    made.drop_outputs()
    assert (made.root / "models/package").exists()
    assert not (made.root / "models/finetune").exists()
    assert not (made.root / "data/prepared").exists()
    assert (made.root / "data/.gitkeep").exists()


def test_a_folder_without_a_commit_is_answered_with_the_remedy(
    house: House, tmp_path: Path
) -> None:
    with pytest.raises(worktree.GitError, match="not a git repository with a commit"):
        worktree.open_worktree(tmp_path, "a", "toy-smoke", write_params)


def test_uncommitted_changes_are_named(house: House) -> None:
    (house.root / "dvc.yaml").write_text("changed")
    assert worktree.uncommitted(house.root) == ["dvc.yaml"]
