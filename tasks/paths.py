"""Where every artefact lies, relative to the root of a checkout or of a run's worktree.

models/finetune/lora/          a candidate: weights, tokenizer, candidate.json, report.json
data/prepared/train.jsonl      records
reports/finetune/lora.json     the copy of report.json that git keeps
"""

import os
import shutil
from pathlib import Path

PARAMS = Path("params.yaml")
WORKLOADS = Path("workloads")
RAW = Path("data/raw")
PREPARED = Path("data/prepared")
TRAIN = PREPARED / "train.jsonl"
UNLABELLED = PREPARED / "unlabelled.jsonl"
VALIDATION = PREPARED / "validation.jsonl"
LOCKED_TEST = Path("data/locked/test.jsonl")
FETCHED = Path("models/fetch")
GATE = Path("data/gate")
PACKAGE = Path("models/package")
REPORTS = Path("reports")
RELEASE_HTML = REPORTS / "release.html"
FRONTIER_PNG = REPORTS / "frontier.png"
PLOTS = REPORTS / "plots"
MODEL_CARD = REPORTS / "model-card.md"

CHAMPION = "champion/current"
"""Candidate in use, which a run takes from the release that made it."""

REPORT = "report.json"
PREDICTIONS = "predictions.jsonl"


def candidate(name: str) -> Path:
    """Folder of the candidate `<stage>/<variant>`."""
    return Path("models") / name


def labels(variant: str) -> Path:
    """Folder of a teacher's stored logits."""
    return Path("data/labels") / variant


def answers(variant: str) -> Path:
    """Folder of the answers that a model elsewhere gave to training requests."""
    return Path("data/answers") / variant


def importance(variant: str) -> Path:
    """Folder of the scores of a model's parts."""
    return Path("data/importance") / variant


def evaluation(name: str) -> Path:
    """Folder of one evaluated candidate's predictions and report."""
    return Path("data/evaluate") / name


def route(variant: str) -> Path:
    """Folder of a calibrated router."""
    return Path("data/route") / variant


def output(stage: str, variant: str | None = None) -> Path:
    """Folder that a stage writes; its report.json lies directly inside.

    Raises:
        KeyError: `stage` is not a stage that has a report of its own.
    """
    if stage == "fetch":
        return {"weights": FETCHED, "data": RAW}[variant or "weights"]
    if variant is None:
        return {"prepare": PREPARED, "gate": GATE, "package": PACKAGE}[stage]
    if stage == "label":
        return labels(variant)
    if stage == "ask":
        return answers(variant)
    if stage == "importance":
        return importance(variant)
    if stage == "route":
        return route(variant)
    if stage in {"evaluate", "baseline", "remote"}:
        return evaluation(variant)
    return candidate(f"{stage}/{variant}")


def published(stage: str, variant: str | None = None) -> Path:
    """Where git keeps a stage's report: reports/<stage>/<variant>.json or reports/<stage>.json."""
    folder = "evaluate" if stage in {"baseline", "remote"} else stage
    return REPORTS / (f"{folder}/{variant}.json" if variant else f"{stage}.json")


def publish(root: Path, stage: str, variant: str | None = None) -> Path:
    """Copy a stage's report to where git keeps it, both below `root`; returns the copy."""
    target = root / published(stage, variant)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(root / output(stage, variant) / REPORT, target)
    return target


def state() -> Path:
    """Folder of everything that is neither source nor artefact: caches, scratch, runs, logs."""
    return Path(os.environ.get("STILLHOUSE_STATE", ".stillhouse")).absolute()


def scratch(kind: str) -> Path:
    """A folder outside DVC's outputs for downloads or checkpoints; created when missing."""
    folder = state() / "scratch" / kind
    folder.mkdir(parents=True, exist_ok=True)
    return folder
