"""Any two releases side by side, read from git alone: no checkout is touched.

    make compare A=v0.0.1 B=sentiment-quick-3        (WORKLOAD=sentiment where a version needs it)
    python -m flows.compare v0.0.1 sentiment-quick-3

A release is named by its version, its run's name or id, a branch, a tag or a commit. Prints a
table and writes .stillhouse/compare/<A>..<B>.html.
"""

import argparse
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, Final

import yaml
from pydantic import ValidationError
from rich.console import Console

from flows.worktree import git, git_succeeds
from tasks import paths
from tasks.candidates_table import Evaluation, GateReport
from tasks.errors import DataError, StillhouseError
from tasks.report import compare
from tasks.report.compare import Release
from tasks.stage import run as run_main

VERSION: Final = re.compile(r"^v\d+\.\d+\.\d+$")
NEWEST: Final = 8
"""How many runs and versions an error lists."""


class UnknownReleaseError(StillhouseError):
    """A name that no release has; says which ones there are."""


def resolve(checkout: Path, name: str, workload: str) -> str:
    """The commit of the release that `name` means.

    Raises:
        UnknownReleaseError: nothing has that name.
    """
    version = f"{workload}@{name}" if VERSION.match(name) else name
    run = _runs(checkout).get(name)
    for wanted in (f"refs/tags/{version}", run, f"refs/heads/run/{name}", name):
        if wanted and git_succeeds(checkout, "rev-parse", "--verify", f"{wanted}^{{commit}}"):
            return git(checkout, "rev-parse", "--verify", f"{wanted}^{{commit}}")
    raise UnknownReleaseError(
        f"{name}: no version, run, branch, tag or commit has this name; {_existing(checkout)}"
    )


def release(checkout: Path, name: str, workload: str) -> Release:
    """What git keeps of the release that `name` means.

    Raises:
        UnknownReleaseError: nothing has that name, or no run ended at that commit.
        DataError: a report that cannot be read, with its revision and file.
    """
    commit = resolve(checkout, name, workload)
    gate = str(paths.published("gate"))
    if not git_succeeds(checkout, "cat-file", "-e", f"{commit}:{gate}"):
        raise UnknownReleaseError(
            f"{name}: commit {commit[:12]} has no {gate}, so no release ended there; "
            f"{_existing(checkout)}"
        )
    folder = f"{paths.published('evaluate', 'any').parent}/"
    files = git(checkout, "ls-tree", "--name-only", commit, folder).splitlines()
    pins = _pins(_shown(checkout, commit, "constraints.txt"))
    return Release(
        name=name,
        commit=commit,
        gate=_read(checkout, commit, gate, GateReport.model_validate_json),
        evaluations=tuple(
            _read(checkout, commit, file, Evaluation.model_validate_json)
            for file in sorted(files)
            if PurePosixPath(file).suffix == ".json"
        ),
        settings=_mapping(checkout, commit, str(paths.PARAMS)),
        data=_mapping(checkout, commit, str(paths.published("prepare"))),
        libraries=pins,
    )


def main(arguments: list[str]) -> None:
    """Compare two releases of the checkout in the current folder."""
    parser = argparse.ArgumentParser(prog="python -m flows.compare", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("first")
    parser.add_argument("second")
    parser.add_argument("--workload", default="sentiment", help="of versions such as v0.0.1")
    told = parser.parse_args(arguments)
    checkout = Path.cwd()
    if not told.first or not told.second:
        raise StillhouseError(
            f"usage: make compare A=v0.0.1 B=sentiment-quick-3; {_existing(checkout)}"
        )
    found = [release(checkout, name, told.workload) for name in (told.first, told.second)]
    comparison = compare.compare(*found)
    page = paths.state() / "compare" / f"{_safe(told.first)}..{_safe(told.second)}.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(compare.html(comparison), encoding="utf-8")
    console = Console(soft_wrap=True)
    console.print(compare.plain(comparison), markup=False, highlight=False)
    console.print(f"Page: {page.as_uri()}", markup=False, highlight=False)


def _runs(checkout: Path) -> dict[str, str]:
    """Branch of every run by the run's name, newest first."""
    order = ["for-each-ref", "--sort=-committerdate", "--format=%(refname)"]
    found: dict[str, str] = {}
    for branch in git(checkout, *order, "refs/heads/run/").splitlines():
        subjects = git(checkout, "log", "--format=%s", "--grep=^Flow-Run: ", "-1", branch)
        if subjects:
            found.setdefault(subjects.removeprefix("run "), branch)
    return found


def _existing(checkout: Path) -> str:
    runs = list(_runs(checkout))[:NEWEST]
    tags = git(checkout, "tag", "--list", "*@v*", "--sort=-creatordate").splitlines()[:NEWEST]
    if not runs and not tags:
        return "no run has ended here yet: type `make demo` first"
    return f"versions: {', '.join(tags) or 'none'}; runs: {', '.join(runs) or 'none'}"


def _shown(checkout: Path, commit: str, file: str) -> str:
    """A file's text at a commit; empty where the commit has no such file."""
    name = f"{commit}:{file}"
    return git(checkout, "show", name) if git_succeeds(checkout, "cat-file", "-e", name) else ""


def _read(checkout: Path, commit: str, file: str, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(_shown(checkout, commit, file))
    except ValidationError as error:
        raise DataError(
            f"{commit[:12]}:{file}: not the report that is expected here: {error}"
        ) from error


def _mapping(checkout: Path, commit: str, file: str) -> dict[str, Any]:
    """A JSON or YAML file of a commit; JSON is YAML, too."""
    try:
        content = yaml.safe_load(_shown(checkout, commit, file) or "{}")
    except yaml.YAMLError as error:
        raise DataError(f"{commit[:12]}:{file}: cannot be read: {error}") from error
    return dict(content) if isinstance(content, dict) else {}


def _pins(text: str) -> dict[str, str]:
    lines = (line.partition("==") for line in text.splitlines() if "==" in line)
    return {name: version for name, _, version in lines if not name.startswith("#")}


def _safe(name: str) -> str:
    """The name as part of a file's name."""
    return re.sub(r"[^\w.@#-]", "-", name)


if __name__ == "__main__":
    raise SystemExit(run_main(main))
