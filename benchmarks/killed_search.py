"""kill -9 at random moments of a search: what is lost, and does the same come out?

    make install && .venv/bin/python -m benchmarks.killed_search 20

searches recipes for the workload sentiment (real weights and data, budget smoke but for checkpoints
within the training of every recipe; so few recipes that all are tried) in two clones of this
checkout. In the first one nothing happens; in the second one the worker, the run and whatever stage
is at work are killed so many times, at moments drawn at random, half of them after the first recipe
has begun, and started again. Writes benchmarks/results/killed-search.json. Fails unless both tried
the same recipes, each with the same quality, stages started again no more often than they were
killed, and recipes were. Budget for 20 kills: seventy minutes on 2 cores.
"""

import json
import re
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import yaml

from benchmarks.clone import FINAL, House, cloned, until
from benchmarks.interrupted import ran
from benchmarks.release import RESULTS
from tasks import params, paths, records, stage
from tasks.errors import StillhouseError
from tasks.search.outcome import Outcome
from tasks.search.recipe import DIGITS

RESULT = RESULTS / "killed-search.json"
WORKLOAD = "sentiment-killed"
SECONDS = 5400.0
BETWEEN = (8.0, 60.0)
"""Seconds from the moment when all is up again to the next kill, drawn evenly."""

SEED = 0
CHECKPOINTS = 3
OF_A_RECIPE = re.compile(rf"-[0-9a-f]{{{DIGITS}}}$")
"""How stages are named that a recipe does not share with all others."""

SPACE = {
    "chains": [["prune/depth16", "distill/small", "quantize/small-int8"]],
    "optional": ["prune/depth16", "distill/small"],
    "idle": {"quantize.small-int8.bits": 32},
    "brief": {"distill.small.max_steps": 4},
    "trials": 8,
    "finalists": 8,
    "rows": 60,
}


def main(arguments: list[str]) -> None:
    """Search twice and compare; takes the number of kills."""
    if len(arguments) != 1 or not arguments[0].isdigit():
        raise StillhouseError("usage: python -m benchmarks.killed_search KILLS")
    with tempfile.TemporaryDirectory(prefix="stillhouse-") as scratch:
        undisturbed = _searched(Path(scratch) / "undisturbed", 0)
        killed = _searched(Path(scratch) / "killed", int(arguments[0]))
    result = {"undisturbed": undisturbed, "killed": killed, "hit": _hit(undisturbed, killed)}
    records.write_report(RESULT, result)
    print(json.dumps(result, indent=2))
    if killed["qualities"] != undisturbed["qualities"]:
        raise StillhouseError(f"{RESULT}: not the same recipes, or not of the same quality")
    if sum(result["hit"].values()) > killed["kills"]:
        raise StillhouseError(f"{RESULT}: a finished stage was started again")
    if not killed["kills_in_recipes"]:
        raise StillhouseError(f"{RESULT}: the search was over before a recipe could be killed")


def workload(root: Path) -> dict[str, Any]:
    """What is searched: few recipes, whose trainings can go on where they were killed."""
    content: dict[str, Any] = params.load_yaml(root / "workloads/sentiment.yaml")
    content |= {"workload": WORKLOAD, "search": SPACE}
    content["budgets"]["smoke"]["distill.small.checkpoints"] = CHECKPOINTS
    return content


def _searched(root: Path, kills: int) -> dict[str, Any]:
    with cloned(root) as house:
        file = house.root / f"workloads/{WORKLOAD}.yaml"
        file.write_text(yaml.safe_dump(workload(house.root), sort_keys=False), encoding="utf-8")
        started = time.monotonic()
        run = house.start("search", workload=WORKLOAD, budget="smoke", hours=4.0)
        done, in_recipes = _kill_now_and_then(house, run, kills)
        state = house.finished(run, SECONDS)["state"]
        if state["type"] != "COMPLETED":
            raise StillhouseError(f"the search ended {state['type']}: {state['message']}")
        found = house.worktree(run) / paths.REPORTS / "search.json"
        outcome = Outcome.model_validate_json(found.read_text(encoding="utf-8"))
        return {
            "kills": done,
            "kills_in_recipes": in_recipes,
            "trainings_resumed": _resumed(house, run),
            "seconds": round(time.monotonic() - started, 1),
            "qualities": {f"{e.phase}: {e.recipe}": e.quality for e in outcome.tried},
            "frontier": [e.recipe for e in outcome.tried if e.name in outcome.frontier],
            "starts_of_stages": dict(ran(house, run)),
        }


def _kill_now_and_then(house: House, run: str, kills: int) -> tuple[int, int]:
    """So many times, or until the search has ended; how many times it was, and was in recipes.

    The second half waits for the first recipe, however often what all share was killed.
    """
    draw, in_recipes = np.random.default_rng(SEED), 0
    for count in range(kills):
        if count >= kills // 2:
            until(lambda: _in_recipes(house, run) or _over(house, run), SECONDS, "a first recipe")
        time.sleep(draw.uniform(*BETWEEN))
        if _over(house, run):
            return count, in_recipes
        in_recipes += _in_recipes(house, run)
        _kill_all(house, run)
        print(f"killed {count + 1} of {kills}", flush=True)
        house.command("up")
    return kills, in_recipes


def _over(house: House, run: str) -> bool:
    return house.state_of(run) in FINAL


def _in_recipes(house: House, run: str) -> bool:
    """Whether the first recipe has begun."""
    return any(OF_A_RECIPE.search(name) for name in ran(house, run))


def _resumed(house: House, run: str) -> int:
    """How often a training went on from a checkpoint."""
    logs = (house.state / "logs" / run).glob("*.log")
    return sum(log.read_text(errors="replace").count("resuming at step") for log in logs)


def _kill_all(house: House, run: str) -> None:
    """SIGKILL for the worker, the run and its stages, all at once."""
    inside = str(house.worktree(run))
    pids = [
        process.pid
        for process in psutil.process_iter(["cwd"])
        if (process.info["cwd"] or "").startswith(inside)
    ]
    for name in ("worker", f"run-{run}"):
        note = house.state / "pids" / f"{name}.json"
        if note.is_file():  # a run that has hardly begun has none
            pids.append(int(json.loads(note.read_text(encoding="utf-8"))["pid"]))
    for pid in pids:
        if psutil.pid_exists(pid):
            psutil.Process(pid).send_signal(signal.SIGKILL)


def _hit(undisturbed: dict[str, Any], killed: dict[str, Any]) -> dict[str, int]:
    """Stages that started again, and how often."""
    more = Counter(killed["starts_of_stages"])
    more.subtract(undisturbed["starts_of_stages"])
    return {name: count for name, count in more.items() if count > 0}


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
