"""Two releases of one commit, each from nothing: what comes out again and what does not.

    make install && .venv/bin/python -m benchmarks.twice

releases the workload sentiment (real weights and data, budget smoke) in two clones that share no
cache. Writes benchmarks/results/twice.json: verdicts, what differs of all that is not a timing
(nothing may), and how far apart the timings are.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.clone import House, cloned
from benchmarks.release import RESULTS
from tasks import paths, records, stage
from tasks.candidates_table import Evaluation
from tasks.errors import StillhouseError

RESULT = RESULTS / "twice.json"
JUDGED = ("verdict", "chosen", "difference", "test", "data_hash")
"""Of the gate's report: what does not rest on timings."""

RELEASE = {"workload": "sentiment", "budget": "smoke"}
Figures = Mapping[str, object]


def main(arguments: list[str]) -> None:
    """Release twice and compare; takes no arguments."""
    if arguments:
        raise StillhouseError("usage: python -m benchmarks.twice (it takes no arguments)")
    with tempfile.TemporaryDirectory(prefix="stillhouse-") as scratch:
        first, second = (_released(Path(scratch) / name) for name in ("first", "second"))
    (same, costs), (same_again, costs_again) = first, second
    names = sorted({*same, *same_again})
    differing = {
        name: [same.get(name), same_again.get(name)]
        for name in names
        if same.get(name) != same_again.get(name)
    }
    result = {
        "figures_compared": len(names),
        "differing": differing,
        "verdict": same["verdict"],
        "cost_second_by_first": {n: costs_again[n] / costs[n] for n in costs},
    }
    records.write_report(RESULT, result)
    print(json.dumps(result, indent=2))
    if differing:
        raise StillhouseError(f"{RESULT}: {len(differing)} figures did not come out again")


def _released(root: Path) -> tuple[Figures, Mapping[str, float]]:
    """What must come out again, and costs, which are timings."""
    with cloned(root) as house:
        run = house.start("release", **RELEASE)
        state = house.finished(run)["state"]
        if state["type"] != "COMPLETED":
            raise StillhouseError(f"{root}: the release ended {state['type']}: {state['message']}")
        found = list(_evaluations(house, run))
        gate = json.loads((house.worktree(run) / paths.published("gate")).read_text())
    same = {key: gate[key] for key in JUDGED}
    for each in found:
        same[f"{each.name}: quality"] = each.quality.model_dump()
        same[f"{each.name}: model"] = each.model_hash
    return same, {each.name: each.cost.per_1000_requests.value for each in found}


def _evaluations(house: House, run: str) -> Iterator[Evaluation]:
    folder = house.worktree(run) / paths.REPORTS / "evaluate"
    for file in sorted(folder.glob("*.json")):
        yield Evaluation.model_validate_json(file.read_text(encoding="utf-8"))


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
