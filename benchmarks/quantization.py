"""What each format of one model loses and costs, on one workload's validation rows.

    .venv/bin/python -m benchmarks.quantization HOUSE finetune/lora 500

HOUSE is a folder where that candidate, data/prepared and params.yaml lie: a checkout after
`dvc repro`, or a run's worktree after `dvc checkout`. Every format is made and asked by the stages
themselves, in a scratch folder. Writes benchmarks/results/<workload>-quantization.json. Of the
openvino formats quality, requests/s and size are measured; the others are read by transformers,
whose speed says nothing of vLLM or llama.cpp: of them, quality and size. int4-learned is of a
student as large as the candidate, which learned its stored logits with rounded weights; HOUSE then
holds them, too. Budget for 500 rows of a model of 135M: an hour on 2 cores, and another half for
that student. Names of formats after ROWS measure those alone; what an earlier run found of the
others on this hardware stays.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.release import RESULTS
from tasks import evaluation_report, intervals, params, paths, records, stage
from tasks.errors import StillhouseError
from tasks.records import Prediction

CORRECTED = ["awq", "scale_estimation"]
FORMATS: Mapping[str, Mapping[str, object]] = {
    "fp32": {"bits": 32},
    "int8": {"bits": 8},
    "int8-cache-f32": {"bits": 8, "kv_cache": "f32"},
    "int8-cache-u4": {"bits": 8, "kv_cache": "u4"},
    "int4": {"bits": 4},
    "int4-data": {"bits": 4, "corrections": CORRECTED},
    "int4-gptq": {"bits": 4, "corrections": ["awq", "gptq"]},
    "int4-learned": {"bits": 4},
    "int4-mixed": {
        "bits": 4,
        "corrections": CORRECTED,
        "int4_ratio": 0.8,
        "sensitivity": "max_activation_variance",
    },
    "w8a8": {"format": "compressed_tensors", "scheme": "w8a8", "corrections": ["smoothquant"]},
    "w4a16": {"format": "compressed_tensors", "scheme": "w4a16", "corrections": ["gptq"]},
    "q8-0": {"format": "gguf", "scheme": "q8_0"},
    "q5-1": {"format": "gguf", "scheme": "q5_1"},
    "q4-1": {"format": "gguf", "scheme": "q4_1"},
}
EXACT = "fp32"
ALLOWED = {"int8": 0.005, "int4-data": 0.015, "int4-learned": 0.015, "w4a16": 0.015}
"""Loss of quality that the project allows itself."""
STUDENTS: Mapping[str, Mapping[str, object]] = {
    "int4-learned": {"int4_group_size": 64, "max_steps": 200, "learning_rate": 1e-4, "batch": 8}
}
"""Formats of a student: how it learns the candidate's stored logits."""
ROOT = Path(__file__).parents[1]


def main(arguments: list[str]) -> None:
    """Measure formats of a candidate; takes a house, the candidate, how many rows, and which."""
    if len(arguments) < 3 or not set(arguments[3:]) <= set(FORMATS):
        raise StillhouseError(
            "usage: python -m benchmarks.quantization HOUSE CANDIDATE ROWS [FORMAT ...], of "
            + ", ".join(FORMATS)
        )
    house, parent, rows = Path(arguments[0]), arguments[1], int(arguments[2])
    wanted = [name for name in FORMATS if name in {EXACT, *(arguments[3:] or FORMATS)}]
    content = params.load_yaml(house / paths.PARAMS)
    with tempfile.TemporaryDirectory(prefix="stillhouse-") as scratch:
        work = Path(scratch)
        _furnish(work, house, parent, content, rows)
        for name in STUDENTS.keys() & {*wanted}:
            _teach(work, house, parent, content, name)
        measured = {name: _measure(work, parent, name) for name in wanted}
    exact = measured[EXACT]["scores"]
    same = {
        "candidate": parent,
        "rows": rows,
        "hardware": evaluation_report.hardware(),
    }
    file = RESULTS / f"{content['workload']}-quantization.json"
    figures = _earlier(file, same)
    figures |= {name: _figures(found, exact) for name, found in measured.items()}
    result = {
        **same,
        "formats": figures,
        "within": {
            name: figures[name]["difference"]["value"] >= -most
            for name, most in ALLOWED.items()
            if name in figures
        },
    }
    records.write_report(file, result)
    print(json.dumps(result, indent=2))


def _earlier(file: Path, same: Mapping[str, object]) -> dict[str, Any]:
    """Formats that an earlier run measured of the same candidate, rows and hardware."""
    if not file.is_file():
        return {}
    found = json.loads(file.read_text(encoding="utf-8"))
    agrees = all(found.get(key) == value for key, value in same.items())
    return dict(found["formats"]) if agrees else {}


def _furnish(work: Path, house: Path, parent: str, content: Mapping[str, Any], rows: int) -> None:
    """The scratch folder: what the stages read, and parameters that name every format."""
    for path in (paths.candidate(parent), paths.PREPARED):
        _link(work, house, path)
    told = {
        "task": content["task"],
        "quantize": {
            name: {"from": f"distill/{name}" if name in STUDENTS else parent, **told}
            for name, told in FORMATS.items()
        },
        "evaluate": {
            "measure": content["evaluate"]["measure"],
            "candidates": {name: _entry(name, rows) for name in FORMATS},
        },
        "distill": {
            name: {"from": parent, "labels": _labels(content, parent), **told}
            for name, told in STUDENTS.items()
        },
    }
    (work / paths.PARAMS).write_text(json.dumps(told), encoding="utf-8")


def _link(work: Path, house: Path, path: Path) -> None:
    if not (house / path).is_dir():
        raise StillhouseError(f"{house / path}: missing; run the stage that makes it first")
    (work / path).parent.mkdir(parents=True, exist_ok=True)
    (work / path).symlink_to((house / path).absolute(), target_is_directory=True)


def _labels(content: Mapping[str, Any], parent: str) -> str | None:
    """The variant of label whose teacher the candidate is."""
    return next((key for key, told in content["label"].items() if told["teacher"] == parent), None)


def _teach(work: Path, house: Path, parent: str, content: Mapping[str, Any], name: str) -> None:
    """Make the student of a format."""
    labels = _labels(content, parent)
    if labels is None:
        raise StillhouseError(
            f"{house / paths.PARAMS}: no variant of label has the teacher {parent}, of which "
            f"{name} learns; add one, or name the formats to measure without it"
        )
    _link(work, house, paths.labels(labels))
    _stage(work, "distill", name)


def _entry(name: str, rows: int) -> dict[str, object]:
    served = FORMATS[name].get("format", "openvino") == "openvino"
    engine = "openvino" if served else "transformers"
    return {"candidate": f"quantize/{name}", "engine": engine, "rows": rows}


def _measure(work: Path, parent: str, name: str) -> dict[str, Any]:
    """Make one format and ask it; its report, its parity and its scores in the rows' order."""
    _stage(work, "quantize", name)
    made = _report(work / paths.candidate(f"quantize/{name}"))
    if made["format"] == "gguf":
        _read_back(work / paths.candidate(parent), work / paths.candidate(f"quantize/{name}"))
    _stage(work, "evaluate", name)
    folder = work / paths.evaluation(name)
    answers = records.read(folder / paths.PREDICTIONS, Prediction)
    return {"made": made, "asked": _report(folder), "scores": [one.score for one in answers]}


def _read_back(parent: Path, folder: Path) -> None:
    """Beside the GGUF file, what it holds as safetensors: an engine of ours can be asked."""
    from tasks.quantize import gguf, reference  # torch takes seconds to load

    model = reference.load(parent)
    model.load_state_dict(gguf.restored(folder), strict=False)
    model.save_pretrained(folder)


def _stage(work: Path, name: str, variant: str) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, "-m", f"tasks.{name}", variant]
    done = subprocess.run(command, cwd=work, env=environment, check=False)
    if done.returncode:
        raise StillhouseError(f"tasks.{name} {variant} ended with {done.returncode}; see above")


def _report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / paths.REPORT).read_text(encoding="utf-8"))
    return found


def _figures(found: Mapping[str, Any], exact: list[float]) -> dict[str, Any]:
    made, asked, scores = found["made"], found["asked"], found["scores"]
    gains, losses = intervals.discordant([s == 1 for s in exact], [s == 1 for s in scores])
    served = made["format"] == "openvino"
    return {
        "quality": asked["quality"],
        "difference": intervals.paired_difference(gains, losses, len(scores))._asdict(),
        "size_mb": made["size_mb"],
        "seconds_to_make": made["seconds"],
        "kl_mean": made["parity"]["kl_mean"],
        "requests_per_second": asked["performance"]["requests_per_second"] if served else None,
        "most_sensitive": made.get("layers", {}).get("most_sensitive"),
    }


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
