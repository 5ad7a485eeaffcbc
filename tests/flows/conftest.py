"""A toy house: a git repository with the real flows and small stages, all its own state."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
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
    for package in ("flows", "bentos"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, root / package, ignore=ignored)
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
    unversioned = (
        ".stillhouse/\n__pycache__/\n/data/*\n!/data/.gitkeep\n/models/*\n!/models/.gitkeep\n"
    )
    (root / ".gitignore").write_text(unversioned)
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


class Running(NamedTuple):
    """A house with its server and worker."""

    house: House
    environment: dict[str, str]
    api: str

    def command(self, name: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "flows.house", name],
            cwd=self.house.root,
            env={**self.environment, **more},
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )

    def start(self, **parameters: Any) -> str:
        return self.start_flow("release", {"workload": "toy", "budget": "smoke", **parameters})

    def start_flow(self, name: str, parameters: dict[str, Any]) -> str:
        found = httpx.get(f"{self.api}/deployments/name/{name}/{name}").json()
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        while True:
            answer = httpx.post(f"{self.api}/deployments/{found['id']}/create_flow_run", json=body)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:  # SQLite is busy: ask again
                return str(answer.raise_for_status().json()["id"])

    def state(self, run: str) -> dict[str, Any]:
        return dict(httpx.get(f"{self.api}/flow_runs/{run}").raise_for_status().json()["state"])

    def ended(self, run: str, seconds: float = 240) -> dict[str, Any]:
        final = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
        until(lambda: self.state(run)["type"] in final, seconds)
        return self.state(run)

    def worktree(self, run: str) -> Path:
        return self.house.state / "runs" / run

    def pid(self, name: str) -> int:

        return int(json.loads((self.house.state / "pids" / f"{name}.json").read_text())["pid"])

    def artifacts(self, run: str) -> list[dict[str, Any]]:
        body = {"artifacts": {"flow_run_id": {"any_": [run]}}}
        return list(httpx.post(f"{self.api}/artifacts/filter", json=body).json())

    def logs(self, run: str) -> str:
        body = {"logs": {"flow_run_id": {"any_": [run]}}, "limit": 200}
        found = httpx.post(f"{self.api}/logs/filter", json=body).json()
        return "\n".join(log["message"] for log in found)


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    pytest.fail(f"waited {seconds} s in vain")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    house = build_house(tmp_path_factory.mktemp("release") / "house")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("STILLHOUSE")}
    environment = {
        **kept,
        "STILLHOUSE_PREFECT_PORT": str(port),
        "STILLHOUSE_DEMO_WORKLOAD": "toy",
        "STILLHOUSE_DEMO_BUDGET": "smoke",
    }
    made = Running(house, environment, f"http://127.0.0.1:{port}/api")
    done = made.command("up")
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        yield made
    finally:
        made.command("stop")
