"""A candidate's lineage, kept beside its weights as candidate.json.

{"name": "finetune/lora", "parent": "fetch/base", "stage": "finetune", "variant": "lora",
 "params_sha256": "…", "data_sha256": "…", "commit": "…"}
"""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

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
    """Where a model came from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    parent: str | None
    stage: str
    variant: str
    params_sha256: str
    data_sha256: str | None
    commit: str | None


def describe(
    name: str, parent: str | None, config: BaseModel, data: Path | None = None
) -> Candidate:
    """The lineage of `name`, made from `parent` with `config` on the file `data`."""
    stage, variant = name.split("/")
    encoded = json.dumps(config.model_dump(mode="json"), sort_keys=True).encode()
    return Candidate(
        name=name,
        parent=parent,
        stage=stage,
        variant=variant,
        params_sha256=hashlib.sha256(encoded).hexdigest(),
        data_sha256=sha256(data) if data else None,
        commit=_commit(),
    )


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


def _commit() -> str | None:
    command = ["git", "rev-parse", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None
