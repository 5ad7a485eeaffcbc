"""Take over what an earlier run of the same workload has measured, in one go.

    up_to_date(job, ["fetch@weights", "prepare", "finetune@lora"]) == 2

DVC's run-cache knows every result too, but asking it stage by stage takes a second each. Here
an earlier run's dvc.lock is taken as a guess, and DVC checks it against the files at hand: a
wrong guess costs nothing but the check.
"""

import json
from collections.abc import Callable, Sequence

import yaml

from flows import stage
from flows.worktree import Worktree, git, git_succeeds
from tasks import paths

LOCK = "dvc.lock"
UNCACHED = (str(paths.RELEASE_HTML), str(paths.FRONTIER_PNG))
"""Outputs that git keeps in DVC's place; DVC takes its word for them and does not fetch them."""

SECONDS = 3600.0


def up_to_date(
    house: Worktree, job: stage.Job, targets: Sequence[str], on_line: Callable[[str], None]
) -> int:
    """How many of `targets`, counted from the first, need not be asked for one by one.

    `targets` are in topological order, so nothing before the first stale stage can be affected
    by what comes after it.
    """
    seeded = not (house.root / LOCK).exists()
    if seeded and not _seed(house, targets):
        return 0
    with stage.machine(f"{job.run} looks for earlier results", on_line) as descriptor:
        if seeded:
            stage.dvc(["checkout", "--allow-missing"], job, SECONDS, descriptor, on_line)
        lines: list[str] = []
        code = stage.dvc(["status", "--json"], job, SECONDS, descriptor, lines.append)
    stale = _stale(lines) if code == 0 else None
    if stale is None:
        return 0
    return next((count for count, name in enumerate(targets) if name in stale), len(targets))


def _seed(house: Worktree, targets: Sequence[str]) -> bool:
    """Put the dvc.lock of the newest whole run of this workload and budget into the worktree."""
    prefix = house.name.rpartition("-")[0]
    order = ["for-each-ref", "--sort=-committerdate", "--format=%(refname)"]
    for branch in git(house.root, *order, "refs/heads/run/").splitlines():
        subjects = git(house.root, "log", "--format=%s", "--max-count=100", branch)
        files = [f"{branch}:{file}" for file in (LOCK, *UNCACHED)]
        whole = all(git_succeeds(house.root, "cat-file", "-e", file) for file in files)
        if f"run {prefix}-" not in subjects or not whole:
            continue
        stages = yaml.safe_load(git(house.root, "show", files[0])).get("stages", {})
        if set(targets) <= set(stages):
            git(house.root, "checkout", branch, "--", LOCK, *UNCACHED)
            return True
    return False


def _stale(lines: Sequence[str]) -> set[str] | None:
    """Names of the stages that `dvc status --json` lists; None when it says nothing readable."""
    for line in reversed(lines):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        return set(found) if isinstance(found, dict) else None
    return None
