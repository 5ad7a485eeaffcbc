"""A whole search by a real server and worker, real stages on a tiny model, killed on its way."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.clone import House, cloned, until
from benchmarks.interrupted import ran
from tasks import candidate
from tasks.search import frontier
from tasks.search.config import SearchConfig
from tasks.search.outcome import Outcome
from tasks.search.study import Study, Told
from tasks.workload import resolve
from tests.tiny import LABELS, tiny_model

pytestmark = pytest.mark.timeout(900)
WORDS = ("dull", "grand")


def workload(folder: Path) -> dict[str, Any]:
    """Files of a base model and of rows, and the workload that names them."""
    weights = tiny_model(folder / "base", layers=4)
    rows = folder / "rows.csv"
    texts = [f"film {n} seen on day {n * 7919 % 1000} was {WORDS[n % 2]}" for n in range(240)]
    lines = [f"{text},{LABELS[n % 2]}" for n, text in enumerate(texts)]
    rows.write_text("\n".join(["text,label", *lines]))
    steps = {"max_steps": 2, "batch": 2, "checkpoints": 1, "validation_rows": 4}
    return {
        "workload": "tiny",
        "task": {
            "kind": "classification",
            "labels": list(LABELS),
            "input_fields": ["text"],
            "prompt": {"user": "{text}"},
        },
        "fetch": {
            "weights": {"base": {"source": f"path:{weights}", "sha256": candidate.sha256(weights)}},
            "data": {
                "source": f"path:{rows}",
                "sha256": candidate.sha256(rows),
                "format": "csv",
            },
        },
        "prepare": {
            "fields": {"text": "text"},
            "reference": {"column": "label"},
            "near_duplicate_similarity": 1.0,
            "split": {"validation": 0.2, "test": 0.3},
        },
        "finetune": {"lora": {"from": "fetch/base", "rank": 2, **steps}},
        "label": {"lora": {"teacher": "finetune/lora", "rows": 8, "top_k": 4}},
        "importance": {"lora": {"of": "finetune/lora", "rows": 8}},
        "prune": {
            "depth": {
                "from": "finetune/lora",
                "importance": "lora",
                "method": "depth",
                "keep_layers": 2,
            }
        },
        "distill": {"small": {"from": "prune/depth", "labels": "lora", **steps}},
        "quantize": {
            "small": {"from": "distill/small", "bits": 32, "parity_rows": 2},
        },
        "evaluate": {
            "measure": {"concurrency": 2, "seconds": 0, "repeats": 5, "price_per_hour": 0.08},
            # By the slowest engine: the same weights are then cheaper on a busy machine as well.
            "candidates": {
                "teacher": {
                    "candidate": "finetune/lora",
                    "engine": "transformers",
                    "role": "teacher",
                }
            },
        },
        "gate": {"teacher": "teacher", "margin": 0.5, "max_cost_ratio": 1.0},
        "search": {
            "chains": [["prune/depth", "distill/small", "quantize/small"]],
            "optional": ["prune/depth", "distill/small"],
            "values": {"prune.depth.keep_layers": [2, 9]},
            "brief": {"distill.small.max_steps": 1},
            "trials": 2,
            "finalists": 1,
            "rows": 20,
        },
        "budgets": {"smoke": {}, "quick": {}, "full": {}},
    }


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("search")
    with cloned(folder / "house") as made:
        file = made.root / "workloads/tiny.yaml"
        file.write_text(yaml.safe_dump(workload(folder), sort_keys=False))
        yield made


def told(house: House, run: str) -> list[Told]:
    """The recipes that have their result."""
    file = house.state / "searches" / f"{run}.log"
    config = SearchConfig.model_validate({"chains": [["quantize/small"]]})
    return Study(file, config).told() if file.exists() else []


def test_a_search_that_is_killed_goes_on_and_writes_the_best_recipe_as_a_workload(
    house: House,
) -> None:
    run = house.start("search", workload="tiny", budget="smoke", hours=1.0)
    until(lambda: len(told(house, run)) >= 2, 600, "two recipes")
    before = told(house, run)
    for name in ("worker", f"run-{run}"):
        note = json.loads((house.state / "pids" / f"{name}.json").read_text())
        os.kill(note["pid"], signal.SIGKILL)
    house.command("up")
    state = house.finished(run)["state"]
    assert state["type"] == "COMPLETED", state

    root = house.worktree(run)
    outcome = Outcome.model_validate_json((root / "reports/search.json").read_text())
    after = told(house, run)
    assert after[: len(before)] == before
    assert [(each.recipe, each.seconds) for each in outcome.tried] == [
        (str(each.turn.recipe), round(each.seconds, 1)) for each in after
    ]
    started = ran(house, run)
    known = [each.name for each in outcome.tried[: len(before)] if each.name]
    assert known
    assert all(started[f"evaluate@{name}"] == 1 for name in known)
    phases = [each.phase for each in outcome.tried]
    assert phases[:4] == ["alone"] * 4
    assert "alone" not in phases[4:]
    assert {"brief", "full"} <= {*phases}
    # Nine blocks cannot stay of four: that is said, and the search goes on.
    [*impossible] = [each for each in outcome.tried if each.name is None]
    assert all("keep_layers 9" in each.recipe for each in impossible)
    assert impossible
    assert all("keep_layers" in str(each.reason) for each in impossible)
    points = {each.name: each.point for each in outcome.tried if each.point}
    front = [points[name] for name in outcome.frontier]
    for point in points.values():
        assert any(
            f.quality >= point.quality and frontier.CLEARLY * f.price <= point.price for f in front
        )
    assert outcome.teacher.point is not None
    won = frontier.hypervolume(list(points.values()), frontier.corner(outcome.teacher.point))
    assert outcome.hypervolume.all == pytest.approx(won, abs=1e-5)
    assert set(outcome.hypervolume.alone) == {"prune/depth", "distill/small", "quantize/small"}
    # Of the same weights as the teacher, in a faster engine.
    assert outcome.hypervolume.alone["quantize/small"] > 0
    told_to_people = (root / "reports/search.md").read_text()
    assert "## Frontier" in told_to_people
    assert "## Could not be made" in told_to_people
    assert (root / "reports/search.png").read_bytes().startswith(b"\x89PNG")
    assert house.changes() == ["?? workloads/tiny.yaml"]
    assert outcome.chosen is not None, outcome
    again = resolve("tiny-found", "smoke", {}, root).workload
    assert list(again.evaluate.candidates) == ["teacher", "small"]
