"""Builds the Bento of one model and exports it as one archive.

    tag = build(model=Path("models/quantize/small-int8"), serving=serving, labels=labels,
                archive=Path("models/package/sentiment.tar"))

It is built from a staging copy of bentos/generator with the model inside, so that it holds that
folder and its own requirements and nothing else of the project.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bentos.generator import serving as serving_file
from bentos.generator.serving import Serving
from tasks import paths
from tasks.errors import StillhouseError

SOURCE = Path(__file__).parents[2] / "bentos"
GENERATOR, WEB = Path("bentos/generator"), Path("bentos/web")
BENTOFILE = GENERATOR / "bentofile.yaml"
MODEL = GENERATOR / "model"
LEFT_OUT = shutil.ignore_patterns(paths.REPORT, "__pycache__")
MEGABYTE = 1e6


@dataclass(frozen=True)
class Built:
    """A Bento in the store.

    Attributes:
        tag: name:version.
        archive_mb: size of the exported archive in MB (1e6 bytes).
        code_mb: size of what goes in beside the model, in MB.
    """

    tag: str
    archive_mb: float
    code_mb: float


def build(model: Path, serving: Serving, labels: Mapping[str, str], archive: Path) -> Built:
    """Build, store and export; a Bento of that name already stored stays beside the new one.

    Raises:
        StillhouseError: BentoML refused, with what it said.
    """
    # Not below the state folder: BentoML refuses to read files in hidden folders.
    with tempfile.TemporaryDirectory(prefix="stillhouse-package-") as folder:
        staging = Path(folder)
        _stage(staging, model, serving)
        code_mb = sum(file.stat().st_size for file in _code(staging)) / MEGABYTE
        tag = _build(staging, serving.workload, labels)
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.unlink(missing_ok=True)
    _bentoml(["export", tag, str(archive.absolute())])
    return Built(tag, archive.stat().st_size / MEGABYTE, code_mb)


def _stage(staging: Path, model: Path, serving: Serving) -> None:
    (staging / "bentos").mkdir()
    shutil.copyfile(SOURCE / "__init__.py", staging / "bentos/__init__.py")
    for folder in (GENERATOR, WEB):
        (staging / folder).mkdir(parents=True, exist_ok=True)
        for file in sorted((SOURCE.parent / folder).iterdir()):
            if file.suffix in {".py", ".txt", ".yaml"}:
                shutil.copyfile(file, staging / folder / file.name)
    shutil.copytree(model, staging / MODEL, ignore=LEFT_OUT)
    hashes = {file.name: serving_file.sha256(file) for file in sorted((staging / MODEL).iterdir())}
    serving_file.write(serving.model_copy(update={"files": hashes}), staging / MODEL)


def _code(staging: Path) -> list[Path]:
    model = staging / MODEL
    return [p for p in staging.rglob("*") if p.is_file() and not p.is_relative_to(model)]


def _build(staging: Path, name: str, labels: Mapping[str, str]) -> str:
    flags = [part for key, value in labels.items() for part in ("--label", f"{key}={value}")]
    command = ["build", str(staging), "-f", str(staging / BENTOFILE), "--name", name]
    output = _bentoml([*command, *flags, "--output", "tag"], cwd=staging)
    tags = [line.removeprefix("__tag__:") for line in output.splitlines() if "__tag__:" in line]
    if len(tags) != 1:
        raise StillhouseError(f"bentoml build named no Bento; it said: {output.strip()[-2000:]}")
    return tags[0].strip()


def home() -> Path:
    """The Bento store: BENTOML_HOME, else below the state folder."""
    return Path(os.environ.get("BENTOML_HOME", paths.state() / "bentoml")).absolute()


def _bentoml(arguments: list[str], cwd: Path | None = None) -> str:
    home().mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "BENTOML_HOME": str(home()), "BENTOML_DO_NOT_TRACK": "True"}
    if cwd is not None:
        # The service is imported while building: from the staging copy, not from the checkout.
        environment["PYTHONPATH"] = str(cwd)
        environment.pop("STILLHOUSE_MODEL", None)
    done = subprocess.run(
        [sys.executable, "-m", "bentoml", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=environment,
    )
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise StillhouseError(f"bentoml {arguments[0]} failed: {said}")
    return done.stdout
