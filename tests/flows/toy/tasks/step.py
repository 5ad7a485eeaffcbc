"""Every stage of the toy house: notes that it ran, takes its time, writes its report."""

import base64
import json
import os
import time
from typing import Any

import yaml

from tasks import paths, stage
from tasks.errors import DataError
from tasks.progress import Progress

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

CARD = "# toy: small"


def main(arguments: list[str]) -> None:
    name, variant = arguments[0], arguments[1] if len(arguments) > 1 else None
    target = f"{name}@{variant}" if variant else name
    note("started", target)
    settings = yaml.safe_load(paths.PARAMS.read_text()).get(name) or {}
    if settings.get("user_error"):
        raise DataError("data/raw: no column label; name the right one in prepare.fields")
    if settings.get("crash"):
        raise RuntimeError("a bug")
    wait(float(settings.get("seconds", 0.0)), target)
    write(name, variant)
    note("finished", target)


def note(what: str, target: str) -> None:
    with (paths.state() / "ran.txt").open("a") as file:
        file.write(f"{what} {target} {os.getpid()}\n")


def wait(seconds: float, target: str) -> None:
    steps = max(1, int(seconds / 0.2))
    bar = Progress(target, steps)
    for _ in range(steps):
        time.sleep(seconds / steps)
        bar.advance(note="working")


def write(name: str, variant: str | None) -> None:
    if name == "report":
        paths.REPORTS.mkdir(exist_ok=True)
        paths.RELEASE_HTML.write_text("<h1>Release</h1>")
        paths.MODEL_CARD.write_text(f"---\nlicense: mit\n---\n\n{CARD}\n")
        paths.FRONTIER_PNG.write_bytes(PNG)
        paths.PLOTS.mkdir(exist_ok=True)
        (paths.PLOTS / "lineage.png").write_bytes(PNG)
        return
    folder = paths.output(name, variant)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / paths.REPORT).write_text(json.dumps(report(name, variant)))
    if name == "package":
        (folder / "toy.tar").write_bytes(b"")


def report(name: str, variant: str | None) -> dict[str, Any]:
    if name == "evaluate":
        return evaluation(str(variant))
    if name == "gate":
        return gate()
    if name == "package":
        return {"tag": "toy:abc"}
    return {"stage": name}


def evaluation(variant: str) -> dict[str, Any]:
    teacher = variant == "teacher"
    role = variant if variant in {"teacher", "champion"} else "candidate"
    cost = 0.01 if teacher else 0.002
    return {
        "name": variant,
        "candidate": f"quantize/{variant}",
        "engine": "openvino",
        "role": role,
        "quality": {"n": 100, "value": 0.9, "low": 0.85, "high": 0.94},
        "performance": {
            "requests_per_second": {"value": 10},
            "latency_ms": {"p50": 10, "p95": 20},
        },
        "cost": {"price_per_hour": 0.1, "per_1000_requests": {"value": cost}},
        "size_mb": 500 if teacher else 70,
        "hardware": {},
    }


def gate() -> dict[str, Any]:
    def side(name: str, cost: float) -> dict[str, Any]:
        return {
            "name": name,
            "candidate": f"quantize/{name}",
            "engine": "openvino",
            "quality": {"n": 1000, "value": 0.9, "low": 0.88, "high": 0.92},
            "split": "test",
            "cost_per_1000": cost,
            "p95_ms": 20,
            "size_mb": 70,
            "model_hash": "0",
        }

    return {
        "workload": "toy",
        "budget": "smoke",
        "verdict": "pass",
        "reasons": ["small is no worse than teacher"],
        "chosen": "small",
        "teacher": side("teacher", 0.01),
        "candidate": side("small", 0.002),
        "difference": None,
        "margin": 0.03,
        "cost_ratio": 0.2,
        "max_cost_ratio": 0.5,
        "cost_ratios": {"teacher": 5.0},
        "currency": "USD",
        "required_items": None,
        "test": {"n": 1000, "sha256": "0", "sketch": ["1", "2", "3"]},
        "max_looks": 1,
        "data_hash": "0",
        "considered": [],
    }


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
