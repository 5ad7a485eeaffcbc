"""Real releases that are killed in the middle, and two at once.

    make install && .venv/bin/python -m benchmarks.interrupted

releases the workload sentiment (real weights and data, budget smoke) in two clones of this
checkout. In the first one nothing happens; in the second one everything is killed in turn: a
stage's process, the worker together with the run's own process, the Prefect server. Then two
different releases are started at once. Writes benchmarks/results/interrupted.json and fails
unless all end with the same verdict, no finished stage was repeated and no checkout was touched.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from tasks import paths, records, stage
from tasks.errors import StillhouseError

RESULT = Path("benchmarks/results/interrupted.json")
WORKLOAD, BUDGET = "sentiment", "smoke"
RUN_SECONDS = 2400.0
SECONDS_INTO_A_STAGE = 15.0
"""Long enough for a stage to be past its imports and at its real work."""

RAN = re.compile(r"^Running stage '([^']+)'", re.MULTILINE)


def main(arguments: list[str]) -> None:
    """Run all and write the result; takes no arguments."""
    if arguments:
        raise StillhouseError("usage: python -m benchmarks.interrupted (it takes no arguments)")
    with tempfile.TemporaryDirectory(prefix="stillhouse-") as scratch:
        with _house(Path(scratch) / "undisturbed") as house:
            undisturbed = house.finished(house.start())
        with _house(Path(scratch) / "killed") as house:
            killed = _killed(house)
            at_once = [house.start({"finetune.lora.max_steps": steps}) for steps in (13, 14)]
            together = [house.finished(run) for run in at_once]
    result = {"undisturbed": undisturbed, "killed": killed, "at_once": together}
    records.write_report(RESULT, result)
    print(json.dumps(result, indent=2))
    _check(undisturbed, killed, together)


class House:
    """One clone with a Prefect server and a worker of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        port = _free_port()
        self._api = f"http://127.0.0.1:{port}/api"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("STILLHOUSE", "PREFECT"))}
        self._environment = {**kept, "STILLHOUSE_PREFECT_PORT": str(port)}

    def command(self, name: str) -> None:
        """`python -m flows.house NAME` in the clone."""
        command = [sys.executable, "-m", "flows.house", name]
        subprocess.run(command, cwd=self.root, env=self._environment, check=True, timeout=300)

    def start(self, overrides: dict[str, object] | None = None) -> str:
        """Ask the server for a release, as the UI's form does; returns the run's id."""
        address = f"{self._api}/deployments/name/release/release"
        deployment = httpx.get(address).raise_for_status().json()["id"]
        parameters = {"workload": WORKLOAD, "budget": BUDGET, "overrides": overrides or {}}
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        address = f"{self._api}/deployments/{deployment}/create_flow_run"
        return str(httpx.post(address, json=body, timeout=60).raise_for_status().json()["id"])

    def finished(self, run: str) -> dict[str, Any]:
        """Wait for the run's end; what it says, how often each stage ran, what git sees."""
        final = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
        _until(lambda: self._state(run)["type"] in final, RUN_SECONDS, f"run {run}")
        state = self._state(run)
        worktree = self._state_folder / "runs" / run
        gate = worktree / paths.REPORTS / "gate.json"
        status = ["git", "status", "--porcelain"]
        changed = subprocess.run(status, cwd=self.root, check=True, capture_output=True, text=True)
        return {
            "state": state["type"],
            "message": state["message"],
            "verdict": json.loads(gate.read_text())["verdict"] if gate.exists() else None,
            "starts_of_stages": dict(self.ran(run)),
            "checkout_changed": changed.stdout.splitlines(),
        }

    def ran(self, run: str) -> Counter[str]:
        """How often the command of each stage was started in the run."""
        logs = (self._state_folder / "logs" / run).glob("*.log")
        return Counter(
            name for log in logs for name in RAN.findall(log.read_text(errors="replace"))
        )

    def in_stage(self, run: str, target: str) -> psutil.Process:
        """Wait until a stage is at work; returns its process."""
        _until(lambda: self.ran(run)[target], RUN_SECONDS, f"stage {target}")
        time.sleep(SECONDS_INTO_A_STAGE)
        name, _, variant = target.partition("@")
        for process in psutil.process_iter(["cmdline", "cwd"]):
            line = process.info["cmdline"] or []
            if line[1:] == ["-m", f"tasks.{name}", variant] and run in (process.info["cwd"] or ""):
                return process
        raise StillhouseError(f"{target} was over before it could be killed")

    def kill(self, name: str) -> None:
        """SIGKILL for a process that the house has noted under `name`."""
        note = self._state_folder / "pids" / f"{name}.json"
        os.kill(int(json.loads(note.read_text())["pid"]), signal.SIGKILL)

    @property
    def _state_folder(self) -> Path:
        return self.root / ".stillhouse"

    def _state(self, run: str) -> dict[str, Any]:
        answer = httpx.get(f"{self._api}/flow_runs/{run}", timeout=60)
        return dict(answer.raise_for_status().json()["state"])


@contextmanager
def _house(root: Path) -> Iterator[House]:
    subprocess.run(["git", "clone", "--quiet", str(Path.cwd()), str(root)], check=True)
    house = House(root)
    house.command("up")
    try:
        yield house
    finally:
        house.command("stop")


def _killed(house: House) -> dict[str, Any]:
    run = house.start()
    house.in_stage(run, "finetune@lora").kill()
    print("killed: the process of finetune@lora", flush=True)

    _until(lambda: house.ran(run)["label@lora"], RUN_SECONDS, "stage label@lora")
    house.kill("worker")
    house.kill(f"run-{run}")
    print("killed: worker and run, in label@lora", flush=True)
    house.command("up")

    house.in_stage(run, "distill@small")
    house.kill("server")
    print("killed: the Prefect server, in distill@small", flush=True)
    house.command("up")
    return house.finished(run)


def _check(undisturbed: dict[str, Any], killed: dict[str, Any], together: list[Any]) -> None:
    for each in (undisturbed, killed, *together):
        if each["state"] != "COMPLETED" or each["checkout_changed"]:
            raise StillhouseError(f"{RESULT}: a run ended {each['state']}, or touched its checkout")
        if each["verdict"] != undisturbed["verdict"]:
            raise StillhouseError(f"{RESULT}: verdicts differ")
    # The stage whose process was killed is the only one that may start twice.
    expected = {**undisturbed["starts_of_stages"], "finetune@lora": 2}
    if killed["starts_of_stages"] != expected:
        raise StillhouseError(f"{RESULT}: a finished stage was repeated, or one is missing")


def _until(condition: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except httpx.HTTPError:
            pass  # the server is away: that is what is tried here
        time.sleep(0.5)
    raise StillhouseError(f"{what}: waited {seconds:.0f} s in vain")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
