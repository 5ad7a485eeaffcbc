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
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from benchmarks.clone import RUN_SECONDS, House, cloned, until
from benchmarks.release import RESULTS
from tasks import paths, records, stage
from tasks.errors import StillhouseError

RESULT = RESULTS / "interrupted.json"
RELEASE = {"workload": "sentiment", "budget": "smoke"}
SECONDS_INTO_A_STAGE = 15.0
"""Long enough for a stage to be past its imports and at its real work."""

RAN = re.compile(r"^Running stage '([^']+)'", re.MULTILINE)


def main(arguments: list[str]) -> None:
    """Run all and write the result; takes no arguments."""
    if arguments:
        raise StillhouseError("usage: python -m benchmarks.interrupted (it takes no arguments)")
    with tempfile.TemporaryDirectory(prefix="stillhouse-") as scratch:
        with cloned(Path(scratch) / "undisturbed") as house:
            undisturbed = _ended(house, house.start("release", **RELEASE))
        with cloned(Path(scratch) / "killed") as house:
            killed = _killed(house)
            overrides = [{"finetune.lora.max_steps": steps} for steps in (13, 14)]
            at_once = [house.start("release", **RELEASE, overrides=each) for each in overrides]
            together = [_ended(house, run) for run in at_once]
    result = {"undisturbed": undisturbed, "killed": killed, "at_once": together}
    records.write_report(RESULT, result)
    print(json.dumps(result, indent=2))
    _check(undisturbed, killed, together)


def _ended(house: House, run: str) -> dict[str, Any]:
    """How a run ended, how often each of its stages was started, what git sees."""
    state = house.finished(run)["state"]
    gate = house.worktree(run) / paths.published("gate")
    return {
        "state": state["type"],
        "message": state["message"],
        "verdict": json.loads(gate.read_text())["verdict"] if gate.exists() else None,
        "starts_of_stages": dict(ran(house, run)),
        "checkout_changed": house.changes(),
    }


def ran(house: House, run: str) -> Counter[str]:
    """How often each stage of a run was started, by the logs."""
    logs = (house.state / "logs" / run).glob("*.log")
    return Counter(name for log in logs for name in RAN.findall(log.read_text(errors="replace")))


def _killed(house: House) -> dict[str, Any]:
    run = house.start("release", **RELEASE)
    _in_stage(house, run, "finetune@lora").kill()
    print("killed: the process of finetune@lora", flush=True)

    until(lambda: ran(house, run)["label@lora"], RUN_SECONDS, "stage label@lora")
    _kill(house, "worker")
    _kill(house, f"run-{run}")
    print("killed: worker and run, in label@lora", flush=True)
    house.command("up")

    _in_stage(house, run, "distill@small")
    _kill(house, "server")
    print("killed: the Prefect server, in distill@small", flush=True)
    house.command("up")
    return _ended(house, run)


def _in_stage(house: House, run: str, target: str) -> psutil.Process:
    """Wait until a stage is at work; returns its process."""
    until(lambda: ran(house, run)[target], RUN_SECONDS, f"stage {target}")
    time.sleep(SECONDS_INTO_A_STAGE)
    name, _, variant = target.partition("@")
    for process in psutil.process_iter(["cmdline", "cwd"]):
        line = process.info["cmdline"] or []
        if line[1:] == ["-m", f"tasks.{name}", variant] and run in (process.info["cwd"] or ""):
            return process
    raise StillhouseError(f"{target} was over before it could be killed")


def _kill(house: House, name: str) -> None:
    """SIGKILL for a process that the house has noted under `name`."""
    note = house.state / "pids" / f"{name}.json"
    os.kill(int(json.loads(note.read_text())["pid"]), signal.SIGKILL)


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


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
