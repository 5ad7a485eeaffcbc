"""Every way to prune the demo's teacher, by a quarter and by half: quality, speed, stock loaders.

    make install && .venv/bin/python -m benchmarks.pruning quick 60 [--methods METHOD ...]

makes the demo's LoRA teacher in a clone of this checkout (or takes it from DVC, if it was made
here), prunes it by every method (or those named), and heals each result with as many steps of
distillation as the others. Quality before and after healing is that of 300 validation sentences.
Speed is that of the pruned model before healing, by turns with the teacher in the same engine, both
in 32 bits and on the same prompts, so that pruning alone is seen. Last, every healed model is
loaded by transformers and OpenVINO in an environment that holds nothing of ours. After so many
minutes no further variant is begun; what is left is told, and is done when asked again: DVC keeps
the others. Writes benchmarks/results/pruning.json.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, closing
from pathlib import Path
from typing import Any, get_args

import yaml

from benchmarks.release import RESULTS
from bentos.generator.engine import Engine, load_engine
from flows.worktree import link_dvc
from tasks import evaluation_report, intervals, params, paths, records, stage
from tasks.config import Task
from tasks.errors import StillhouseError
from tasks.prune.config import Method
from tasks.records import Record
from tasks.scoring import Traffic, answer_all
from tasks.workload import Budget, resolve

CHECKOUT = Path(__file__).parents[1]
RESULT = RESULTS / "pruning.json"
WORKLOAD = "sentiment"
TEACHER, UNPRUNED = "finetune/lora", "quantize/teacher"
REMOVED = (0.25, 0.5)
ROWS = 300
TURNS, ASKED, CLIENTS = 4, 48, 8
"""How speed is measured: turns of so many sentences, so many at once, after one that warms up."""
STEPS: Mapping[Budget, int] = {"smoke": 4, "quick": 75, "full": 300}
CALIBRATION: Mapping[Budget, int] = {"smoke": 4, "quick": 64, "full": 128}
STOCK = ("torch", "transformers", "safetensors", "openvino")
CLOSE = 1e-2
"""Of logits: trained ones reach tens, in the rounding of two libraries."""


def main(arguments: list[str]) -> None:
    """Prune, heal, measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pruning", description=__doc__)
    parser.add_argument("budget", choices=get_args(Budget))
    parser.add_argument("minutes", type=float)
    parser.add_argument("--methods", nargs="+", choices=get_args(Method), default=get_args(Method))
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="stillhouse-") as scratch:
        result = measured(
            House(Path(scratch) / "house"), asked.budget, asked.minutes, asked.methods
        )
    records.write_report(RESULT, result)
    print("\n".join(table(result)))
    apart = [e["stock_loaders"]["logit_difference_max"] for e in result["variants"].values()]
    if any(difference > CLOSE for difference in apart):
        raise StillhouseError("transformers and OpenVINO compute different logits; see above")


def measured(
    house: "House", budget: Budget, minutes: float, methods: Sequence[Method]
) -> dict[str, Any]:
    """All that is told of every variant for which there was time."""
    started = time.monotonic()
    house.make("fetch@weights", budget=budget, content=demo(budget))
    config = json.loads((house.root / "models/fetch/base/config.json").read_bytes())
    wanted = {n: each for n, each in variants(config).items() if each["method"] in methods}
    content = demo(budget) | levers(wanted, budget)
    house.make("evaluate@teacher", budget=budget, content=content)
    done: list[str] = []
    for name, settings in wanted.items():
        if time.monotonic() - started < 60 * minutes:
            house.make(*ends(name, settings), budget=budget, content=content)
            done.append(name)
    seconds = round(time.monotonic() - started)
    faster = house.speed_ups(done)
    loaded = house.loaded([last(name, wanted[name]) for name in done])
    return {
        "budget": budget,
        "minutes_asked": minutes,
        "seconds": seconds,
        "healing_steps": STEPS[budget],
        "hardware": evaluation_report.hardware(),
        "teacher": told(house.report("data/evaluate/teacher")),
        "variants": {
            name: row(house, name, wanted[name]) | {"speed_up": times, "stock_loaders": loads}
            for name, times, loads in zip(done, faster, loaded, strict=True)
        },
        "left": [name for name in wanted if name not in done],
    }


class House:
    """A clone of the checkout, whose stages DVC runs or takes from the checkout's cache."""

    def __init__(self, root: Path) -> None:
        """Clone into `root`."""
        self.root = root
        subprocess.run(["git", "clone", "--quiet", str(CHECKOUT), str(root)], check=True)
        link_dvc(root, CHECKOUT)
        found = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._environment = {**os.environ, "PATH": found, "STILLHOUSE_STATE": str(paths.state())}

    def make(self, *targets: str, budget: Budget, content: Mapping[str, Any]) -> None:
        """Bring stages up to date with a workload of this content."""
        file = self.root / paths.WORKLOADS / f"{content['workload']}.yaml"
        file.write_text(yaml.safe_dump(dict(content), sort_keys=False), encoding="utf-8")
        resolve(content["workload"], budget, {}, self.root).write(self.root / paths.PARAMS)
        command = [sys.executable, "-m", "dvc", "repro", *targets]
        subprocess.run(command, cwd=self.root, env=self._environment, check=True)

    def report(self, folder: str) -> dict[str, Any]:
        """What a stage measured."""
        content: dict[str, Any] = json.loads((self.root / folder / paths.REPORT).read_bytes())
        return content

    def speed_ups(self, names: Sequence[str]) -> list[dict[str, float]]:
        """How many times as much as the teacher pruned models answer, with intervals over turns.

        Before healing: a healed one reads less, without instructions, and is faster for that, too.
        """
        with (
            chdir(self.root),
            closing(load_engine("openvino", paths.candidate(UNPRUNED))) as teacher,
        ):
            return [intervals.mean(list(_turns(teacher, name)))._asdict() for name in names]

    def loaded(self, pairs: Sequence[tuple[str, str]]) -> list[dict[str, float]]:
        """What `stock_loaders` says of pairs of folders, in an environment of its own."""
        environment = self.root / "stock"
        venv.create(environment, with_pip=True)
        python = str(environment / "bin" / "python")
        install = [python, "-m", "pip", "install", "--quiet", *STOCK]
        pinned = ["--constraint", str(CHECKOUT / "constraints.txt")]
        subprocess.run([*install, *pinned], check=True)
        folders = [":".join(str(self.root / "models" / each) for each in pair) for pair in pairs]
        command = [python, "-I", str(CHECKOUT / "benchmarks/stock_loaders.py"), *folders]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        return [json.loads(line) for line in done.stdout.splitlines()]


def _turns(teacher: Engine, name: str) -> Iterator[float]:
    """Seconds of the teacher over those of a pruned model, for the same validation sentences."""
    asked, task = records.read(paths.VALIDATION, Record)[:ASKED], params.read("task", Task)
    cut = paths.candidate(f"quantize/{name}-before")
    with closing(load_engine("openvino", cut)) as pruned:
        for turn in range(1 + TURNS):
            seconds = [
                answer_all(engine, folder, asked, task, Traffic(CLIENTS), name).seconds
                for engine, folder in ((teacher, paths.candidate(UNPRUNED)), (pruned, cut))
            ]
            if turn > 0:
                yield seconds[0] / seconds[1]


def written() -> dict[str, Any]:
    """The demo's workload file."""
    return params.load_yaml(CHECKOUT / paths.WORKLOADS / f"{WORKLOAD}.yaml")


def demo(budget: Budget) -> dict[str, Any]:
    """The demo's workload file, without its levers but for the teacher."""
    content = written()
    for section in ("prune", "label", "distill", "quantize", "baseline", "search"):
        content.pop(section, None)
    sizes = content["budgets"][budget]
    kept = {k: v for k, v in sizes.items() if k.startswith(("prepare.", "finetune.", "evaluate.m"))}
    content["evaluate"]["measure"]["load_curve"] = []
    content["evaluate"]["candidates"] = {
        "teacher": {"candidate": TEACHER, "engine": "transformers", "role": "teacher"}
    }
    content["gate"] |= {"teacher": "teacher", "cost_references": []}
    budgets = {each: kept if each == budget else {} for each in get_args(Budget)}
    return content | {"workload": "pruning", "budgets": budgets}


def variants(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Settings of prune by the variant's name, for a model of this config.json."""
    found: dict[str, dict[str, Any]] = {}
    for removed in REMOVED:
        kept, percent = 1 - removed, f"{removed:.0%}".rstrip("%")
        layers, heads = config["num_hidden_layers"], config["num_attention_heads"]
        groups = int(config["num_key_value_heads"] * kept)
        channels = int(config["hidden_size"] * kept) // heads * heads
        scored = {"from": TEACHER, "importance": "lora"}
        depth = scored | {"method": "depth", "keep_layers": round(layers * kept)}
        neurons = round(config["intermediate_size"] * kept)
        found |= {
            f"depth-influential-{percent}": depth,
            f"depth-least-loss-{percent}": depth | {"blocks": "least_loss"},
            f"neurons-{percent}": scored | {"method": "neurons", "keep_neurons": neurons},
            f"heads-{percent}": scored | {"method": "heads", "keep_groups": groups},
            f"channels-{percent}": scored | {"method": "channels", "keep_channels": channels},
            f"combined-{percent}": scored | {"method": "combined", "to_parameters": kept},
            f"latency-{percent}": scored | {"method": "combined", "to_latency": kept},
            f"vocabulary-{percent}": {
                "from": TEACHER,
                "method": "vocabulary",
                "keep_tokens": round(config["vocab_size"] * kept),
            },
        }
    return found


def levers(wanted: Mapping[str, Mapping[str, Any]], budget: Budget) -> dict[str, Any]:
    """Sections of a workload that prunes, heals and measures."""
    content = demo(budget)
    student = written()["distill"]["small"] | {"labels": "lora", "max_steps": STEPS[budget]}
    rows = STEPS[budget] * student["batch"]
    distill = {
        name: student | {"from": f"prune/{name}"}
        for name, settings in wanted.items()
        if heals(settings)
    }
    chosen = {"teacher": TEACHER}
    for name, settings in wanted.items():
        chosen[f"{name}-before"] = f"prune/{name}"
        if heals(settings):
            chosen[f"{name}-after"] = f"distill/{name}"
    entry = {"engine": "openvino", "rows": ROWS}
    content["evaluate"]["candidates"] = {
        name: {"candidate": f"quantize/{name}", **entry} for name in chosen
    }
    content["evaluate"]["candidates"]["teacher"]["role"] = "teacher"
    return {
        "importance": {"lora": {"of": TEACHER, "rows": CALIBRATION[budget], "leave_one_out": True}},
        "prune": {name: dict(settings) for name, settings in wanted.items()},
        "label": {"lora": {"teacher": TEACHER, "rows": rows}},
        "distill": distill,
        "quantize": {n: {"from": p, "bits": 32, "parity_rows": 8} for n, p in chosen.items()},
        "evaluate": content["evaluate"],
    }


def heals(settings: Mapping[str, Any]) -> bool:
    """Tokens that the workload never uses are not missed, and stored logits speak of all tokens."""
    return bool(settings["method"] != "vocabulary")


def ends(name: str, settings: Mapping[str, Any]) -> Iterator[str]:
    """Targets of DVC that lead to all that is asked of a variant."""
    yield f"evaluate@{name}-before"
    if heals(settings):
        yield f"evaluate@{name}-after"


def last(name: str, settings: Mapping[str, Any]) -> tuple[str, str]:
    """What transformers and OpenVINO are to load."""
    if heals(settings):
        return f"distill/{name}", f"quantize/{name}-after"
    return f"prune/{name}", f"quantize/{name}-before"


def row(house: House, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What was measured of one variant."""
    pruned = house.report(f"models/prune/{name}")
    found = {
        each.rpartition("-")[2]: told(house.report(f"data/evaluate/{each.partition('@')[2]}"))
        for each in ends(name, settings)
    }
    return {
        "method": settings["method"],
        "importance_held": pruned.get("importance_held"),
        "parameters": pruned["parameters_after"],
        "parameters_removed": 1 - pruned["parameters_after"] / pruned["parameters_before"],
        **found,
    }


def told(report: Mapping[str, Any]) -> dict[str, Any]:
    """Quality and speed of one evaluated candidate."""
    return {
        "quality": report["quality"],
        "requests_per_second": report["performance"]["requests_per_second"]["value"],
        "p95_ms": report["performance"]["latency_ms"]["p95"],
    }


def table(result: Mapping[str, Any]) -> Iterator[str]:
    """Markdown, a line a variant."""
    yield "| variant | parameters | before healing | after | speed | stock loaders |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name, each in result["variants"].items():
        before, after = each["before"]["quality"], each.get("after", {}).get("quality")
        healed = f"{after['value']:.3f} ({after['low']:.3f}-{after['high']:.3f})" if after else "-"
        yield (
            f"| {name} | {each['parameters'] / 1e6:.1f} M (-{each['parameters_removed']:.0%}) "
            f"| {before['value']:.3f} | {healed} | {each['speed_up']['value']:.2f}x "
            f"| logits differ by {each['stock_loaders']['logit_difference_max']:.0e} |"
        )
    if result["left"]:
        yield f"\nnot begun in time: {', '.join(result['left'])}"


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
