"""A run's own git worktree, so that the user's checkout is never touched.

    .stillhouse/runs/<flow run id>/   on branch run/<flow run id>, from the checkout's HEAD

Every commit in it is the run's: parameters first, then one for each stage that was measured.
"""

import configparser
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from flows.lock import exclusive
from tasks import paths
from tasks.errors import StillhouseError

IDENTITY = {
    "GIT_AUTHOR_NAME": "Stillhouse",
    "GIT_AUTHOR_EMAIL": "stillhouse@localhost",
    "GIT_COMMITTER_NAME": "Stillhouse",
    "GIT_COMMITTER_EMAIL": "stillhouse@localhost",
}
"""Who commits where the user has told git no name."""

CHAMPION = "champion.dvc"
"""Tells DVC of the model in use; see flows/champion.py."""

COMMITTED = ("dvc.lock", CHAMPION, str(paths.PARAMS), str(paths.REPORTS), str(paths.WORKLOADS))
KEPT = (paths.PACKAGE,)
"""Outputs that stay in a finished run's worktree; the others remain in DVC's cache."""

OUTPUTS = (Path("data"), Path("models"))


class GitError(StillhouseError):
    """Git cannot do what a run needs."""


@dataclass(frozen=True)
class Worktree:
    """Where one run works.

    Attributes:
        root: absolute path of the worktree.
        name: the run's name, for example sentiment-quick-3.
        checkout: absolute path of the user's checkout.
    """

    root: Path
    name: str
    checkout: Path

    def commit(self, message: str) -> bool:
        """Commit parameters, dvc.lock and reports; False when nothing has changed."""
        present = [path for path in COMMITTED if (self.root / path).exists()]
        if not git(self.root, "status", "--porcelain", "--", *present):
            return False
        _commit_all(self.root, message)
        return True

    def head(self) -> str:
        """The commit that the run is at."""
        return git(self.root, "rev-parse", "HEAD")

    def drop_outputs(self) -> None:
        """Remove what DVC's cache holds too, but for the package."""
        kept = {self.root / path for path in KEPT}
        for folder in OUTPUTS:
            for child in sorted((self.root / folder).glob("*")):
                if child not in kept and child.name != ".gitkeep":
                    _remove(child)


def folder_of(run: str) -> Path:
    """Where the worktree of a run lies, made or not."""
    return paths.state() / "runs" / run


def begun(checkout: Path, run: str) -> bool:
    """Whether an earlier attempt of this run has committed its parameters."""
    branch = f"refs/heads/{_branch(run)}"
    if not git_succeeds(checkout, "rev-parse", "--verify", branch):
        return False
    return bool(git(checkout, "log", "--format=%h", "--grep", _mark(run), branch))


def open_worktree(
    checkout: Path, run: str, prefix: str, prepare: Callable[[Path], None]
) -> Worktree:
    """The worktree of run `run`: made from HEAD, or as an earlier attempt left it.

    A new one is handed to `prepare`, which writes the run's parameters; they are committed. The
    run is named `<prefix>-<n>`, one higher than every run of that prefix before it.

    Raises:
        GitError: the checkout is no git repository with a commit.
    """
    root = folder_of(run)
    with alone(run):
        if not git_succeeds(checkout, "rev-parse", "--verify", "HEAD^{commit}"):
            raise GitError(f"{checkout}: not a git repository with a commit; make one, then retry")
        resumed = begun(checkout, run)
        _check_out(checkout, root, _branch(run))
        link_dvc(root, checkout)
        if not resumed:
            name = f"{prefix}-{_next_number(checkout, prefix)}"
            prepare(root)
            _commit_all(root, f"run {name}\n\n{_mark(run)}")
    subject = git(root, "log", "--format=%s", "--grep", _mark(run)).splitlines()[0]
    return Worktree(root, subject.removeprefix("run "), checkout)


def alone(holder: str) -> AbstractContextManager[int]:
    """Nobody else of the house changes branches or tags meanwhile."""
    return exclusive(paths.state() / "locks" / "git", holder, _wait_silently)


def link_dvc(root: Path, checkout: Path) -> None:
    """Point the worktree's DVC at the shared cache, keeping what the user set in the checkout."""
    config = configparser.ConfigParser(interpolation=None)
    config.read(checkout / ".dvc" / "config.local", encoding="utf-8")
    house = {
        "core": {"remote": "house", "analytics": "false", "site_cache_dir": str(_state("dvc"))},
        "cache": {"dir": str(_state("cache")), "type": '"reflink,copy"'},
        "'remote \"house\"'": {"url": str(_state("remote"))},
    }
    for section, values in house.items():
        if not config.has_section(section):
            config.add_section(section)
        for key, value in values.items():
            if not config.has_option(section, key):
                config.set(section, key, value)
    target = root / ".dvc" / "config.local"
    target.parent.mkdir(exist_ok=True)
    with target.open("w", encoding="utf-8") as file:
        config.write(file)


def uncommitted(checkout: Path) -> list[str]:
    """Tracked files of the checkout that differ from HEAD: a run does not see these changes."""
    lines = git(checkout, "status", "--porcelain", "--untracked-files=no").splitlines()
    return [line.strip().split(maxsplit=1)[1] for line in lines]


def git(folder: Path, *arguments: str) -> str:
    """Output of one git command in `folder`.

    Raises:
        GitError: with what git says.
    """
    done = _git(folder, arguments)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise GitError(f"git {' '.join(arguments)} in {folder}: {said}")
    return done.stdout.strip()


def git_succeeds(folder: Path, *arguments: str) -> bool:
    """Whether a git command exits with 0."""
    return _git(folder, arguments).returncode == 0


def _git(folder: Path, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    # The user's hooks and signing keys are for the user's commits.
    quiet = ["-c", "core.hooksPath=/dev/null", "-c", "commit.gpgsign=false", "-c", "gc.auto=0"]
    quiet += ["-c", "tag.gpgsign=false"]
    command = ["git", *quiet, *arguments]
    environment = {**os.environ, **identity(folder), "GIT_TERMINAL_PROMPT": "0"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def identity(folder: Path) -> Mapping[str, str]:
    """Variables that name a committer where git has none."""
    probe = ["git", "config", "user.email"]
    done = subprocess.run(probe, cwd=folder, capture_output=True, check=False)
    if done.returncode == 0 or "GIT_COMMITTER_EMAIL" in os.environ:
        return {}
    return IDENTITY


def _check_out(checkout: Path, root: Path, branch: str) -> None:
    if not (root / ".git").exists():
        git(checkout, "worktree", "prune")
        exists = git_succeeds(checkout, "rev-parse", "--verify", f"refs/heads/{branch}")
        root.parent.mkdir(parents=True, exist_ok=True)
        how = [str(root), branch] if exists else ["-b", branch, str(root), "HEAD"]
        git(checkout, "worktree", "add", "--quiet", *how)
    # An attempt that was killed inside git leaves its lock; nobody else works in this worktree.
    (root / git(root, "rev-parse", "--git-path", "index.lock")).unlink(missing_ok=True)


def _commit_all(root: Path, message: str) -> None:
    present = [path for path in COMMITTED if (root / path).exists()]
    git(root, "add", "--all", "--", *present)
    git(root, "commit", "--quiet", "--no-verify", "--allow-empty", "--message", message)


def _branch(run: str) -> str:
    return f"run/{run}"


def _mark(run: str) -> str:
    return f"Flow-Run: {run}"


def _next_number(checkout: Path, prefix: str) -> int:
    wanted = re.compile(rf"^run {re.escape(prefix)}-(\d+)$")
    subjects = git(checkout, "log", "--branches=run/*", "--format=%s").splitlines()
    numbers = [int(match[1]) for subject in subjects if (match := wanted.match(subject))]
    return max(numbers, default=0) + 1


def _state(name: str) -> Path:
    return paths.state() / name


def _wait_silently(holder: str) -> None:
    """Git's own work takes well under a second."""


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
