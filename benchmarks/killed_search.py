"""kill -9 at random moments of a search: what is lost, and does the same come out?

    make install && .venv/bin/python -m benchmarks.killed_search 20

searches recipes for the workload sentiment (real weights and data, budget smoke but for longer
trainings with checkpoints; so few recipes that all are tried) in two clones of this checkout. In
the first one nothing happens; in the second one the worker, the run and whatever stage is at work
are killed so many times, at moments drawn evenly over the time that the first one took, and started
again. Writes benchmarks/results/killed-search.json. Fails unless both tried the same recipes, each
with the same quality, and end with the same frontier, though each measures its prices itself;
unless stages started again no more often than they were killed, and both a recipe and a training
past its first checkpoint were. Budget for 20 kills: an hour on 2 cores.
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

from benchmarks.clone import FINAL, House, cloned
from benchmarks.interrupted import ran
from benchmarks.release import RESULTS
from tasks import params, paths, records, stage
from tasks.errors import StillhouseError
from tasks.search.outcome import Outcome
from tasks.search.recipe import DIGITS

RESULT = RESULTS / "killed-search.json"
WORKLOAD = "sentiment-killed"
SECONDS = 5400.0
SEED = 0
TRAINING = {"max_steps": 16, "checkpoints": 4}
OF_A_RECIPE = re.compile(rf"-[0-9a-f]{{{DIGITS}}}$")
"""How stages are named that a recipe does not share with all others."""

SPACE = {
    "chains": [["prune/depth16", "distill/small", "quantize/small-int8"]],
    "optional": ["prune/depth16", "distill/small"],
    "idle": {"quantize.small-int8.bits": 32},
    "brief": {"distill.small.max_steps": 8},
    "trials": 8,
    "finalists": 8,
    "rows": 60,
}


def main(arguments: list[str]) -> None:
    """Search twice and compare; takes the number of kills."""
    if len(arguments) != 1 or not arguments[0].isdigit():
        raise StillhouseError("usage: python -m benchmarks.killed_search KILLS")
    with tempfile.TemporaryDirectory(prefix="stillhouse-") as scratch:
        undisturbed = _searched(Path(scratch) / "undisturbed", [])
        pauses = _pauses(int(arguments[0]), undisturbed["seconds"])
        killed = _searched(Path(scratch) / "killed", pauses)
    result = {"undisturbed": undisturbed, "killed": killed, "hit": _hit(undisturbed, killed)}
    records.write_report(RESULT, result)
    print(json.dumps(result, indent=2))
    if killed["qualities"] != undisturbed["qualities"]:
        raise StillhouseError(f"{RESULT}: not the same recipes, or not of the same quality")
    if killed["frontier"] != undisturbed["frontier"]:
        raise StillhouseError(f"{RESULT}: not the same frontier")
    if sum(result["hit"].values()) > killed["kills"]:
        raise StillhouseError(f"{RESULT}: a finished stage was started again")
    if not killed["kills_in_recipes"]:
        raise StillhouseError(f"{RESULT}: the search was over before a recipe could be killed")
    if not killed["trainings_resumed"]:
        raise StillhouseError(f"{RESULT}: no training was killed after its first checkpoint")


def workload(root: Path) -> dict[str, Any]:
    """What is searched: few recipes, whose trainings can go on where they were killed."""
    content: dict[str, Any] = params.load_yaml(root / "workloads/sentiment.yaml")
    content |= {"workload": WORKLOAD, "search": SPACE}
    for variant in ("finetune.lora", "distill.small"):
        content["budgets"]["smoke"] |= {f"{variant}.{key}": n for key, n in TRAINING.items()}
    return content


def _pauses(kills: int, seconds: float) -> list[float]:
    """Seconds from the moment when all is up again to the next kill. (kills,)

    What a kill costs comes on top, so that all of them find the search at work.
    """
    moments = np.sort(np.random.default_rng(SEED).uniform(0.0, seconds, kills))
    return [float(pause) for pause in np.diff(moments, prepend=0.0)]


def _searched(root: Path, pauses: list[float]) -> dict[str, Any]:
    with cloned(root) as house:
        file = house.root / f"workloads/{WORKLOAD}.yaml"
        file.write_text(yaml.safe_dump(workload(house.root), sort_keys=False), encoding="utf-8")
        started = time.monotonic()
        run = house.start("search", workload=WORKLOAD, budget="smoke", hours=4.0)
        done, in_recipes = _kill_now_and_then(house, run, pauses)
        state = house.finished(run, SECONDS)["state"]
        if state["type"] != "COMPLETED":
            raise StillhouseError(f"the search ended {state['type']}: {state['message']}")
        found = house.worktree(run) / paths.REPORTS / "search.json"
        outcome = Outcome.model_validate_json(found.read_text(encoding="utf-8"))
        recipes = {each.name: each.recipe for each in outcome.tried}
        return {
            "kills": done,
            "kills_in_recipes": in_recipes,
            "trainings_resumed": _resumed(house, run),
            "seconds": round(time.monotonic() - started, 1),
            "qualities": {f"{e.phase}: {e.recipe}": e.quality for e in outcome.tried},
            "prices": {f"{e.phase}: {e.recipe}": e.price for e in outcome.tried},
            "frontier": [recipes[name] for name in outcome.frontier],
            "starts_of_stages": dict(ran(house, run)),
        }


def _kill_now_and_then(house: House, run: str, pauses: list[float]) -> tuple[int, int]:
    """After each pause, until the search has ended; how many times it was, and was in recipes."""
    in_recipes = 0
    for count, pause in enumerate(pauses):
        time.sleep(pause)
        if _over(house, run):
            return count, in_recipes
        in_recipes += _in_recipes(house, run)
        _kill_all(house, run)
        print(f"killed {count + 1} of {len(pauses)}", flush=True)
        house.command("up")
    return len(pauses), in_recipes


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
