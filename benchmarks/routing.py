"""Is a router worth having, and does its promise hold? On a workload's own models and data.

    make install && .venv/bin/python -m benchmarks.routing sentiment small-int8 teacher

releases the workload at the budget quick in a clone of this checkout, with those models asked how
sure they are and as many validation rows as there are, and keeps what the stage `route` found. Then
the rows are split anew 200 times: a level is chosen on one half, and its quality is that of the
other. The promise is broken where that lies below the floor; half a split is noisy itself, so that
breaks which the noise alone does not explain are told, too. Writes
benchmarks/results/<workload>-routing.json. Budget: 25 minutes on 2 cores.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.clone import House, cloned
from benchmarks.release import RESULTS, restore
from tasks import evaluation_report, intervals, paths, records, stage
from tasks.errors import StillhouseError
from tasks.route import calibrate, guarantee
from tasks.route.calibrate import Asked
from tasks.route.config import RouteConfig

VARIANT = "cascade"
ROWS = 900
SPLITS = 200
SEED = 0
SECONDS = 5400.0


def main(arguments: list[str]) -> None:
    """Release, resample, print and write; takes a workload and models, the cheapest first."""
    if len(arguments) < 3:
        raise StillhouseError("usage: python -m benchmarks.routing WORKLOAD MODEL MODEL [...]")
    workload, models = arguments[0], arguments[1:]
    with (
        tempfile.TemporaryDirectory(prefix="stillhouse-") as scratch,
        cloned(Path(scratch) / "house") as house,
    ):
        root = _released(house, workload, models)
        found = json.loads((root / paths.published("route", VARIANT)).read_bytes())
        restore(root, "prepare", *(f"evaluate@{model}" for model in models))
        config = RouteConfig(models=tuple(models))
        asked, _ = calibrate.asked(config, root)
    result = {
        **found,
        "resampled": resampled(asked, config),
        "hardware": evaluation_report.hardware(),
    }
    records.write_report(RESULTS / f"{workload}-routing.json", result)
    print(json.dumps({key: value for key, value in result.items() if key != "tested"}, indent=2))


def _released(house: House, workload: str, models: list[str]) -> Path:
    overrides: dict[str, object] = {
        f"evaluate.candidates.{model}.confidence": True for model in models[:-1]
    }
    overrides |= {"route": {VARIANT: {"models": models}}, "prepare.max_validation": ROWS}
    run = house.start("release", workload=workload, budget="quick", overrides=overrides)
    state = house.finished(run, SECONDS)["state"]
    if state["type"] != "COMPLETED":
        raise StillhouseError(f"the release ended {state['type']}: {state['message']}")
    return house.worktree(run)


def resampled(asked: Asked, config: RouteConfig) -> dict[str, Any]:
    """Levels chosen on random halves, judged on the others."""
    draw = np.random.default_rng(SEED)
    breaks = shown = routed = 0
    kept, saved = list[float](), list[float]()
    for _ in range(SPLITS):
        half = draw.permutation(len(asked.scores)) < len(asked.scores) // 2
        ours, others = asked.only(half), asked.only(~half)
        level = guarantee.loosest(
            ours.scores, ours.confidences, config.floor, config.confidence
        ).level
        if level is None:
            continue
        routed += 1
        taken = guarantee.answering(others.confidences, level)
        losses = guarantee.losses(others.scores, taken, config.floor)
        breaks += losses.mean() > 0
        low = intervals.mean(losses.tolist(), 2 * config.confidence - 1).low
        shown += low is not None and low > 0
        kept.append(float((taken == 0).mean()))
        saved.append(1 - float(others.prices.cumsum()[taken].mean() / others.prices[-1]))
    return {
        "splits": SPLITS,
        "with_a_level": routed,
        "broken_on_the_other_half": int(breaks),
        "shown_to_be_broken": int(shown),
        "kept_cheap": _spread(kept),
        "saving": _spread(saved),
    }


def _spread(values: list[float]) -> dict[str, float] | None:
    if not values:
        return None
    low, middle, high = np.quantile(values, [0.025, 0.5, 0.975])
    return {"median": float(middle), "low": float(low), "high": float(high)}


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
