"""Take over what an earlier run of the same workload has measured, in one go.

    up_to_date(job, ["fetch@weights", "prepare", "finetune@lora"]) == 2

DVC's run-cache knows every result too, but asking it stage by stage takes a second each. Here
an earlier run's dvc.lock is taken as a guess, and DVC checks it: first against code and parameters
alone, which is all there is to do where nothing has changed, else against the files at hand.
"""

import json
from collections.abc import Callable, Sequence
from functools import partial

import yaml

from flows import stage
from flows.worktree import Worktree, git, git_succeeds
from tasks import paths

LOCK = "dvc.lock"
UNCACHED = tuple(
    str(path) for path in (paths.RELEASE_HTML, paths.MODEL_CARD, paths.FRONTIER_PNG, paths.PLOTS)
)
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
    earlier = _seed(house, targets) if seeded else None
    if seeded and earlier is None:
        return 0
    with stage.machine(f"{job.run} looks for earlier results", on_line) as descriptor:
        ask = partial(stage.dvc, job=job, limit=SECONDS, descriptor=descriptor)
        if earlier is not None and _unchanged(ask) and _package(ask, on_line):
            git(house.root, "checkout", earlier, "--", str(paths.REPORTS))
            return len(targets)
        if seeded:
            ask(["checkout", "--allow-missing"], on_line=on_line)
        lines: list[str] = []
        code = ask(["status", "--json"], on_line=lines.append)
    stale = _stale(lines) if code == 0 else None
    if stale is None:
        return 0
    return next((count for count, name in enumerate(targets) if name in stale), len(targets))


def _unchanged(ask: Callable[..., int]) -> bool:
    """Whether no stage would run, could all outputs be had."""
    lines: list[str] = []
    code = ask(["repro", "--dry", "--allow-missing"], on_line=lines.append)
    return code == 0 and not any(stage.RAN.match(line) for line in lines)


def _package(ask: Callable[..., int], on_line: Callable[[str], None]) -> bool:
    """Fetch the one output that outlives a run: gigabytes of weights would be read by nobody."""
    return ask(["checkout", str(paths.PACKAGE)], on_line=on_line) == 0


def _seed(house: Worktree, targets: Sequence[str]) -> str | None:
    """Put the dvc.lock of the newest whole run of this workload and budget into the worktree.

    Returns that run's branch.
    """
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
            return branch
    return None


def _stale(lines: Sequence[str]) -> set[str] | None:
    """Names of the stages that `dvc status --json` lists; None when it says nothing readable."""
    for line in reversed(lines):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        return set(found) if isinstance(found, dict) else None
    return None
