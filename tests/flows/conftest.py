"""A toy house: a git repository with the real flows and small stages, all its own state."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
TOY = Path(__file__).parent / "toy"
SHARED = (
    "__init__",
    "errors",
    "paths",
    "params",
    "progress",
    "stage",
    "candidates_table",
    "sketch",
)


class House(NamedTuple):
    root: Path
    state: Path

    def ran(self, what: str = "started") -> Counter[str]:
        """How often each stage's command was started or finished, noted outside of DVC."""
        file = self.state / "ran.txt"
        lines = file.read_text().splitlines() if file.exists() else []
        return Counter(line.split()[1] for line in lines if line.startswith(what))

    def stage_pid(self, target: str) -> int | None:
        """Process of the stage that was started last."""
        file = self.state / "ran.txt"
        lines = file.read_text().splitlines() if file.exists() else []
        found = [line.split()[2] for line in lines if line.startswith(f"started {target} ")]
        return int(found[-1]) if found else None


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def build_house(root: Path) -> House:
    shutil.copytree(ROOT / "flows", root / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "tasks").mkdir()
    for name in SHARED:
        shutil.copyfile(ROOT / "tasks" / f"{name}.py", root / "tasks" / f"{name}.py")
    shutil.copytree(TOY, root, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / ".dvc", root / ".dvc", ignore=shutil.ignore_patterns("tmp", "*.local"))
    for name in (".dvcignore", "prefect.yaml"):
        shutil.copyfile(ROOT / name, root / name)
    for name in ("data", "models", "reports"):
        (root / name).mkdir()
        (root / name / ".gitkeep").touch()
    ignored = ".stillhouse/\n__pycache__/\n/data/*\n!/data/.gitkeep\n/models/*\n!/models/.gitkeep\n"
    (root / ".gitignore").write_text(ignored)
    git(root, "init", "--quiet", "--initial-branch", "main")
    git(root, "config", "user.name", "Tester")
    git(root, "config", "user.email", "tester@localhost")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "A toy house")
    state = root / ".stillhouse"
    state.mkdir()
    return House(root, state)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """A toy house, and its state in this process's environment."""
    made = build_house(tmp_path / "house")
    monkeypatch.setenv("STILLHOUSE_STATE", str(made.state))
    return made


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is not the house's."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
