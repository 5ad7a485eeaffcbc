"""A candidate's lineage, kept beside its weights as candidate.json.

{"name": "finetune/lora", "parent": "fetch/base", "stage": "finetune", "variant": "lora",
 "params_sha256": "…", "data_sha256": "…", "commit": "…",
 "machine_seconds": {"fetch/base": 21.4, "finetune/lora": 95.0}}
"""

import hashlib
import json
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from pydantic import BaseModel, ConfigDict

from tasks import paths

FILE = "candidate.json"
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "generation_config.json",
)
"""What travels unchanged from a candidate to what is made of it."""


NOT_SERVED = ("adapter", FILE, paths.REPORT)
"""What lies in a candidate's folder but is not needed to serve it."""


class Candidate(BaseModel):
    """Where a model came from.

    Attributes:
        machine_seconds: wall time of the processes that made it and all that it is made from, by
            what each made. What a crash threw away is not counted.
        paid: to models elsewhere for what it learned, by who was asked, in the currency of
            evaluate.measure.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    parent: str | None
    stage: str
    variant: str
    params_sha256: str
    data_sha256: str | None
    commit: str | None
    machine_seconds: dict[str, float] = {}
    paid: dict[str, float] = {}


class Spent(NamedTuple):
    """Machine time and money, as `Candidate` has them."""

    machine_seconds: dict[str, float]
    paid: dict[str, float]


def describe(
    name: str,
    parent: str | None,
    config: BaseModel,
    data: Path | None = None,
    lessons: Mapping[str, Path] | None = None,
) -> Candidate:
    """The lineage of `name`, made from `parent` with `config` on the file `data`.

    Called when it is made: a stage is a process, so that process's age is the time it took. Time
    and price of `lessons`, the folders of scores, labels or answers that it used, count too.
    """
    stage, variant = name.split("/")
    before = _read(paths.candidate(parent)) if parent else None
    told = {lesson: _report(folder) for lesson, folder in (lessons or {}).items()}
    encoded = json.dumps(config.model_dump(mode="json"), sort_keys=True).encode()
    return Candidate(
        name=name,
        parent=parent,
        stage=stage,
        variant=variant,
        params_sha256=hashlib.sha256(encoded).hexdigest(),
        data_sha256=sha256(data) if data else None,
        commit=_commit(),
        machine_seconds={
            **(before.machine_seconds if before else {}),
            **{lesson: float(report.get("seconds", 0)) for lesson, report in told.items()},
            name: round(time.time() - psutil.Process().create_time(), 1),
        },
        paid={
            **(before.paid if before else {}),
            **{lesson: report["price"] for lesson, report in told.items() if "price" in report},
        },
    )


def spent(folder: Path) -> Spent:
    """What the lineage of the candidate in `folder` tells; nothing where it has none."""
    found = _read(folder)
    return Spent(found.machine_seconds, found.paid) if found else Spent({}, {})


def write(candidate: Candidate) -> None:
    """Write candidate.json into the candidate's folder."""
    text = candidate.model_dump_json(indent=2) + "\n"
    (paths.candidate(candidate.name) / FILE).write_text(text, encoding="utf-8")


def copy_tokenizer(parent: Path, child: Path) -> None:
    """Copy tokenizer, chat template and generation settings from one candidate to another."""
    child.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER_FILES:
        if (parent / name).exists():
            shutil.copyfile(parent / name, child / name)


def fresh_folder(name: str) -> Path:
    """The empty folder of a candidate, without whatever an earlier attempt left."""
    folder = paths.candidate(name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def served_bytes(folder: Path) -> int:
    """Size of the files that serving needs: weights, tokenizer and settings."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sum(
        file.stat().st_size for file in files if file.relative_to(folder).parts[0] not in NOT_SERVED
    )


def sha256(path: Path) -> str:
    """Content hash of a file, or of a folder's files with their relative names, in order.

    Lineage and reports are left out: they hold commits and timings, not weights.
    """
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    for file in files:
        if path.is_dir():
            if file.name in {FILE, paths.REPORT}:
                continue
            digest.update(str(file.relative_to(path)).encode())
        with file.open("rb") as stream:
            for block in iter(lambda: stream.read(1 << 20), b""):
                digest.update(block)
    return digest.hexdigest()


def _read(folder: Path) -> Candidate | None:
    file = folder / FILE
    return Candidate.model_validate_json(file.read_bytes()) if file.is_file() else None


def _report(folder: Path) -> dict[str, Any]:
    file = folder / paths.REPORT
    return dict(json.loads(file.read_bytes())) if file.is_file() else {}


def _commit() -> str | None:
    command = ["git", "rev-parse", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None
