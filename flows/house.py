"""The local house: Prefect server and worker on this machine, and what can be done with them.

python -m flows.house demo     a whole release, followed in this terminal
python -m flows.house up       server, worker and deployments
python -m flows.house ui       the server alone, and its address
python -m flows.house serve    the Bento of the newest passing run
python -m flows.house stop     end what was started here, and nothing else
"""

import argparse
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from flows import lock, pids, serving, settings, stage
from tasks import candidates_table, paths
from tasks.errors import StillhouseError
from tasks.stage import run as run_main

DEMO = {"workload": "sentiment", "budget": "quick"}
FOLDERS = ("cache", "remote", "runs", "logs", "pids", "locks", "scratch", "prefect", "bentoml")
SERVER_SECONDS = 120.0
CONSOLE = Console(soft_wrap=True)


def demo() -> int:
    """Release the workload `sentiment` through the server and follow the run."""
    up()
    from flows import server  # after the environment is set: Prefect reads it when imported
    from flows.follow import Follower

    parameters = demo_parameters()
    run = server.unfinished(parameters)
    if run is None:
        run = server.start_run("release/release", parameters)
    else:
        CONSOLE.print("An earlier run has not ended yet: following that one.")
    address = f"{settings.ui_url()}/runs/flow-run/{run.id}"
    CONSOLE.print(f"Run: {address}")
    try:
        state = Follower(run.id, CONSOLE).until_done()
    except KeyboardInterrupt:
        CONSOLE.print(f"\nNo longer following; the run goes on: {address}")
        CONSOLE.print("`make demo` follows it again, `make stop` ends it.")
        return 130
    if not state.is_completed():
        CONSOLE.print(f"\n{state.name}: {state.message}\nRun: {address}", markup=False)
        CONSOLE.print("Retry it there or type `make demo`: finished stages are kept.")
        return 1
    _print_result(paths.state() / "runs" / str(run.id), address)
    return 0


def demo_parameters() -> dict[str, str]:
    """What `make demo` releases; the variables are for tests and for trying other workloads."""
    return {
        "workload": os.environ.get("STILLHOUSE_DEMO_WORKLOAD", DEMO["workload"]),
        "budget": os.environ.get("STILLHOUSE_DEMO_BUDGET", DEMO["budget"]),
    }


def up() -> int:
    """Start server and worker where they do not run, and deploy the flows."""
    _start_server()
    os.environ.update(settings.environment())
    from flows import server

    CONSOLE.print("Creating work pools and deploying the flows of prefect.yaml")
    server.set_up(Path("prefect.yaml"))
    if pids.alive("worker") is None:
        for name in server.resume_interrupted():
            CONSOLE.print(f"{name} was interrupted: it goes on where it stopped")
        command = ["-m", "prefect", "worker", "start", "--pool", "cpu", "--type", "process"]
        _start("worker", [sys.executable, *command, "--name", "house"])
    CONSOLE.print(f"Prefect UI: {settings.ui_url()}")
    return 0


def ui() -> int:
    """Start the server again if needed, and say where the UI is."""
    _start_server()
    CONSOLE.print(f"Prefect UI: {settings.ui_url()}")
    return 0


def serve() -> int:
    """Serve the champion, or else the newest Bento, in the foreground until Ctrl-C."""
    port = settings.serve_port()
    _require_free(port, "STILLHOUSE_SERVE_PORT", "make serve")
    os.environ.update(settings.environment())
    return serving.serve(serving.bento_to_serve(), port, CONSOLE)


def stop() -> int:
    """End what was started here: worker, runs, their stage, server. Nothing else."""
    stopped = [name for name in ("worker",) if pids.stop(name)]
    runs = [name for name in pids.names() if name.startswith("run-")]
    stopped += [name for name in runs if pids.stop(name)]
    holder = lock.held_by(stage.compute_lock())
    if holder is not None:
        pids.write("stage", holder)
        stopped += ["stage"] * pids.stop("stage")
    stopped += [name for name in ("serve", "server") if pids.stop(name)]
    CONSOLE.print(f"Stopped: {', '.join(stopped)}" if stopped else "Nothing was running.")
    if any(name.startswith("run-") for name in stopped):
        CONSOLE.print("Unfinished runs keep their finished stages: `make demo` goes on with them.")
    return 0


COMMANDS: dict[str, Callable[[], int]] = {
    "demo": demo,
    "up": up,
    "ui": ui,
    "serve": serve,
    "stop": stop,
}


def _start_server() -> None:
    for name in FOLDERS:
        (paths.state() / name).mkdir(parents=True, exist_ok=True)
    port = settings.prefect_port()
    if pids.alive("server") is None:
        _require_free(port, "STILLHOUSE_PREFECT_PORT", "make demo")
        CONSOLE.print(f"Starting the Prefect server on {settings.ui_url()}")
        command = ["-m", "prefect", "server", "start", "--host", settings.HOST]
        _start("server", [sys.executable, *command, "--port", str(port)], port)
    _wait_for_server()


def _wait_for_server() -> None:
    deadline = time.monotonic() + SERVER_SECONDS
    while not _healthy():
        if pids.alive("server") is None or time.monotonic() > deadline:
            log = _log("server")
            raise StillhouseError(f"the Prefect server does not start; {log} says why")
        time.sleep(0.3)


def _healthy() -> bool:
    try:
        with urllib.request.urlopen(f"{settings.ui_url()}/api/health", timeout=5) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _start(name: str, command: Sequence[str], port: int | None = None) -> None:
    with _log(name).open("ab") as log:
        process = subprocess.Popen(
            command,
            env=settings.environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # It goes on when this terminal is closed; `make stop` ends it.
            start_new_session=True,
        )
    pids.write(name, process.pid, port)


def _log(name: str) -> Path:
    return paths.state() / "logs" / f"{name}.log"


def _require_free(port: int, variable: str, command: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.HOST, port))
        except OSError as error:
            raise StillhouseError(
                f"port {port} is taken by another program; choose a free one: "
                f"{variable}={port + 1} {command}"
            ) from error


def _print_result(root: Path, address: str) -> None:
    from flows import summary

    table = candidates_table.load(root)
    CONSOLE.print()
    CONSOLE.print(candidates_table.plain(table), markup=False, highlight=False)
    if table.gate is not None:
        CONSOLE.print(f"Verdict {summary.headline(table.gate)}", markup=False, highlight=False)
        for reason in table.gate.reasons:
            CONSOLE.print(f"  - {reason}", markup=False, highlight=False)
    tag = summary.bento_tag(root)
    CONSOLE.print(f"Bento:  {tag or 'none, because nothing passed'}", markup=False)
    CONSOLE.print(f"Report: {(root / paths.RELEASE_HTML).as_uri()}", markup=False)
    CONSOLE.print(f"Run:    {address}", markup=False)
    CONSOLE.print(f"Next:   {'make serve' if tag else 'make ui'}")


def main(arguments: list[str]) -> None:
    """Carry out one command; leaves with its exit code."""
    parser = argparse.ArgumentParser(prog="python -m flows.house", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("command", choices=sorted(COMMANDS))
    raise SystemExit(COMMANDS[parser.parse_args(arguments).command]())


if __name__ == "__main__":
    raise SystemExit(run_main(main))
