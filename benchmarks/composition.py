"""Does composing levers win over the best single one? A whole search, kept with its figures.

    make install && .venv/bin/python -m benchmarks.composition sentiment 1.0

searches the workload at the budget quick for so many machine hours, in a clone of this checkout,
and writes benchmarks/results/<workload>-search.json, .md and .png. It fails unless the search ended
well; whether composition wins, the figures say.
"""

import json
import shutil
import tempfile
from pathlib import Path

from benchmarks.clone import cloned
from benchmarks.release import RESULTS
from tasks import evaluation_report, paths, records, stage
from tasks.errors import StillhouseError
from tasks.search.outcome import Outcome

BUDGET = "quick"
MORE = 3600.0
"""Seconds beside the machine hours: the teacher, and the recipe that is at work when they end."""


def main(arguments: list[str]) -> None:
    """Search and keep what was found; takes a workload and machine hours."""
    if len(arguments) != 2:
        raise StillhouseError("usage: python -m benchmarks.composition WORKLOAD HOURS")
    workload, hours = arguments[0], float(arguments[1])
    with (
        tempfile.TemporaryDirectory(prefix="stillhouse-") as scratch,
        cloned(Path(scratch) / "house") as house,
    ):
        run = house.start("search", workload=workload, budget=BUDGET, hours=hours)
        state = house.finished(run, seconds=hours * 3600 + MORE)["state"]
        if state["type"] != "COMPLETED":
            raise StillhouseError(f"the search ended {state['type']}: {state['message']}")
        found = house.worktree(run) / paths.REPORTS / "search.json"
        outcome = Outcome.model_validate_json(found.read_text(encoding="utf-8"))
        for suffix in (".md", ".png"):
            kept = RESULTS / f"{workload}-search{suffix}"
            shutil.copyfile(found.with_suffix(suffix), kept)
    result = {
        "hours_asked": hours,
        "ratio_to_best_single_lever": outcome.hypervolume.ratio,
        "hardware": evaluation_report.hardware(),
        **outcome.model_dump(mode="json"),
    }
    records.write_report(RESULTS / f"{workload}-search.json", result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
