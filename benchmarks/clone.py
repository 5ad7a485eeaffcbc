"""A clone of this checkout with a Prefect server and a worker of its own.

with cloned(Path("/tmp/somewhere")) as house:
    run = house.start("release", workload="sentiment", budget="smoke")
    print(house.finished(run)["message"])
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from prefect.client.orchestration import SyncPrefectClient

from tasks.errors import StillhouseError
from tasks.service import free_port

CHECKOUT = Path(__file__).parents[1]
RUN_SECONDS = 2400.0
COMMAND_SECONDS = 300
SECONDS_BETWEEN = 5.0
"""Two questions whether a run has ended, which is measured meanwhile: asking costs time, too."""

FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


class House:
    """What can be asked of the clone."""

    def __init__(self, root: Path) -> None:
        """Start nothing yet; ports are free ones."""
        self.root, self.state = root, root / ".stillhouse"
        port, self.serve_port = free_port(), free_port()
        self._api = f"http://127.0.0.1:{port}/api"
        inherited = ("STILLHOUSE", "PREFECT", "GIT_")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(inherited)}
        ports = {
            "STILLHOUSE_PREFECT_PORT": str(port),
            "STILLHOUSE_SERVE_PORT": str(self.serve_port),
        }
        self.environment = {**kept, **ports}

    def command(self, name: str) -> None:
        """`python -m flows.house NAME` in the clone."""
        command = [sys.executable, "-m", "flows.house", name]
        subprocess.run(
            command, cwd=self.root, env=self.environment, check=True, timeout=COMMAND_SECONDS
        )

    def start(self, flow: str, **parameters: object) -> str:
        """Ask the server for a run, as the UI's form does; returns its id.

        Prefect's client asks again where the database is busy, and its key makes that the same run.
        """
        with SyncPrefectClient(self._api) as client:
            deployment = client.read_deployment_by_name(f"{flow}/{flow}")
            run = client.create_flow_run_from_deployment(
                deployment.id, parameters=parameters, idempotency_key=uuid4().hex
            )
        return str(run.id)

    def finished(self, run: str, seconds: float = RUN_SECONDS) -> dict[str, Any]:
        """Wait for a run's end; what the server says of it.

        Raises:
            StillhouseError: it has not ended after so many seconds.
        """
        until(lambda: self.state_of(run) in FINAL, seconds, f"run {run}", every=SECONDS_BETWEEN)
        return self._run(run)

    def state_of(self, run: str) -> str:
        """RUNNING, COMPLETED, FAILED, and whatever else the server knows."""
        return str(self._run(run)["state"]["type"])

    def worktree(self, run: str) -> Path:
        """Where a release works."""
        return self.state / "runs" / run

    def changes(self) -> list[str]:
        """What git sees changed in the clone."""
        status = ["git", "status", "--porcelain"]
        done = subprocess.run(status, cwd=self.root, check=True, capture_output=True, text=True)
        return done.stdout.splitlines()

    def _run(self, run: str) -> dict[str, Any]:
        answer = httpx.get(f"{self._api}/flow_runs/{run}", timeout=60)
        return dict(answer.raise_for_status().json())


@contextmanager
def cloned(root: Path) -> Iterator[House]:
    """A house that is up, and stopped in the end."""
    subprocess.run(["git", "clone", "--quiet", str(CHECKOUT), str(root)], check=True)
    house = House(root)
    try:
        house.command("up")
        yield house
    finally:
        house.command("stop")


def until(condition: Callable[[], object], seconds: float, what: str, every: float = 0.5) -> None:
    """Wait until a condition holds, looking `every` so many seconds; the server may be away.

    Raises:
        StillhouseError: it did not in time.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except httpx.HTTPError:
            pass
        time.sleep(every)
    raise StillhouseError(f"{what}: waited {seconds:.0f} s in vain")
