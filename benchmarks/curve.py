"""How cheap can it get, and what does it cost in quality? Students from 16 blocks down to 2.

    make install && .venv/bin/python -m benchmarks.curve

releases the workload sentiment (real weights and data) in a clone of this checkout, with several
students. The largest learns the teacher's stored logits of nearly all rows; it is the assistant of
all others, which are cut from it, blocks and neurons, and learn its answers and its hidden states.
Each loses the vocabulary that the workload does not use, and is served in int8. The gate asks for a
tenth of the teacher's price at a loss of at most two points, and tests one candidate on the locked
rows; the curve is of the validation rows. Budget: an hour on 2 cores. Writes
benchmarks/results/curve.json and curve.png.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks.clone import House, cloned
from benchmarks.release import RESULTS, restore
from tasks import candidates_table, evaluation_report, intervals, params, paths, records, stage
from tasks.errors import StillhouseError
from tasks.records import Prediction

RESULT = RESULTS / "curve.json"
WORKLOAD = "sentiment-curve"
TEACHER = "teacher"
STEPS = {16: 1500, 12: 2000, 6: 500, 2: 300}
"""How long a student of so many blocks learns, the assistant first. The tenth of the price that the
gate asks for lies near twelve: most of the hour goes there, and to whom they learn from."""

NEURONS = 960
"""What the assistant's students keep of 1,536 in a block: twelve blocks of these cost about what
eight whole ones do, and of blocks a model loses more."""

LABELLED = 6000
"""Rows that the teacher answers: nearly all, more than the demo's student sees."""

LARGEST, *_ = STEPS
ASSISTANT = f"distill/small{LARGEST}"
AS_ASSISTANT = {"validation_rows": 400, "kl_weight": 0.5}
"""What the assistant is told beside the workload's own: fewer rows choose a checkpoint by luck."""

FROM_ASSISTANT = {
    "method": "online",
    "teacher": ASSISTANT,
    "hidden_weight": 1.0,
    "learning_rate": 2e-4,
    "kl_weight": 0.33,
}
"""How the others learn. They read what their assistant reads: hidden states are compared."""

TENTH, POINTS = 0.1, 0.02
"""What the gate asks: share of the teacher's price, and the loss that is allowed."""

ROWS = {"prepare.max_validation": 900, "prepare.max_test": 1800}
"""As the budget full has them: quality shows better on more rows."""


def main(arguments: list[str]) -> None:
    """Release the students and keep their curve; takes no arguments."""
    if arguments:
        raise StillhouseError("usage: python -m benchmarks.curve (it takes no arguments)")
    with (
        tempfile.TemporaryDirectory(prefix="stillhouse-") as scratch,
        cloned(Path(scratch) / "house") as house,
    ):
        written = workload(params.load_yaml(house.root / "workloads/sentiment.yaml"))
        file = house.root / f"workloads/{WORKLOAD}.yaml"
        file.write_text(yaml.safe_dump(written, sort_keys=False), encoding="utf-8")
        result = _released(house) | {"hardware": evaluation_report.hardware()}
    records.write_report(RESULT, result)
    print(json.dumps(result, indent=2))


def workload(content: Mapping[str, Any]) -> dict[str, Any]:
    """The workload file of sentiment with several students in place of its one."""
    assistant = content["distill"]["small"] | AS_ASSISTANT
    spared = ("labels", "chat_template")
    student = {k: v for k, v in assistant.items() if k not in spared} | FROM_ASSISTANT
    narrow = {
        "from": ASSISTANT,
        "importance": "small",
        "method": "neurons",
        "keep_neurons": NEURONS,
    }
    made: dict[str, Any] = {
        "importance": {"small": {"of": ASSISTANT}},
        "prune": {"narrow": narrow},
        "distill": {},
        "quantize": {},
    }
    candidates = {}
    parent, lessons = "finetune/lora", assistant
    for layers, steps in STEPS.items():
        made["prune"][f"depth{layers}"] = {
            "from": parent,
            "method": "depth",
            "keep_layers": layers,
            "blocks": "ends",
        }
        told = {"from": f"prune/depth{layers}", "max_steps": steps}
        made["distill"][f"small{layers}"] = lessons | told
        parent, lessons = "prune/narrow", student
        made["prune"][f"words{layers}"] = {
            "from": f"distill/small{layers}",
            "method": "vocabulary",
            "keep_tokens": 12288,
        }
        made["quantize"][f"layers{layers}"] = {
            "from": f"prune/words{layers}",
            "bits": 8,
            "error_rows": 0,
            "parity_rows": 16,
        }
        candidates[f"layers{layers}"] = {
            "candidate": f"quantize/layers{layers}",
            "engine": "openvino",
        }
    teacher = content["evaluate"]["candidates"][TEACHER]
    served = teacher["candidate"].partition("/")[2]
    made["quantize"][served] = content["quantize"][served]
    kept = {key: value for key, value in content.items() if key not in ("search", "baseline")}
    return kept | {
        "workload": WORKLOAD,
        **made,
        "label": {"lora": content["label"]["lora"] | {"rows": LABELLED}},
        "evaluate": {
            "measure": content["evaluate"]["measure"] | {"load_curve": []},
            "candidates": {TEACHER: teacher, **candidates},
        },
        "gate": content["gate"]
        | {"margin": POINTS, "max_cost_ratio": TENTH, "cost_references": [TEACHER]},
        "budgets": {"quick": ROWS, "smoke": {}, "full": {}},
    }


def _released(house: House) -> dict[str, Any]:
    run = house.start("release", workload=WORKLOAD, budget="quick")
    state = house.finished(run, seconds=5400)["state"]
    if state["type"] != "COMPLETED":
        raise StillhouseError(f"the release ended {state['type']}: {state['message']}")
    root = house.worktree(run)
    table = candidates_table.load(root)
    if table.gate is None:
        raise StillhouseError(f"{root}: the gate has written no report")
    shutil.copyfile(root / paths.REPORTS / "frontier.png", RESULTS / "curve.png")
    print(candidates_table.markdown(table))
    gate = json.loads((root / paths.REPORTS / "gate.json").read_text(encoding="utf-8"))
    return {"curve": [_point(root, table, layers) for layers in STEPS], "gate": gate}


def _point(root: Path, table: candidates_table.Table, layers: int) -> dict[str, Any]:
    """Price and quality of one student on the validation rows, beside the teacher's."""
    name = f"layers{layers}"
    row = next(row for row in table.rows if row.name == name)
    ours, theirs = (_right(root, each) for each in (name, TEACHER))
    gains, losses = intervals.discordant(theirs, ours)
    return {
        "layers": layers,
        "accuracy": row.quality.model_dump(),
        "difference": intervals.paired_difference(gains, losses, len(ours))._asdict(),
        "cost_per_1000": row.cost.model_dump(),
        "times_cheaper": row.times_cheaper,
    }


def _right(root: Path, name: str) -> list[bool]:
    folder = paths.evaluation(name)
    restore(root, str(folder))
    answers = records.read(root / folder / paths.PREDICTIONS, Prediction)
    return [answer.score == 1 for answer in answers]


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
