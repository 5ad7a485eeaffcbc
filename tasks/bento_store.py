"""Builds the Bento of a service and exports it as one archive.

    def fill(folder: Path) -> None: ...     # writes what the service holds beside its code
    built = build("router", "sentiment-router", fill, labels, Path("data/route/cascade/router.tar"))

It is built from a staging copy of bentos/<service> and bentos/web, so that it holds these folders
and its own requirements and nothing else of the project.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tasks import paths
from tasks.errors import StillhouseError

Service = Literal["generator", "router"]
SOURCE = Path(__file__).parents[1]
WEB = Path("bentos/web")
CODE = {".py", ".txt", ".yaml"}
MEGABYTE = 1e6


@dataclass(frozen=True)
class Built:
    """A Bento in the store.

    Attributes:
        tag: name:version.
        archive_mb: size of the exported archive in MB (1e6 bytes).
        code_mb: size of the code, in MB.
    """

    tag: str
    archive_mb: float
    code_mb: float


def build(
    service: Service,
    name: str,
    fill: Callable[[Path], None],
    labels: Mapping[str, str],
    archive: Path,
    bentofile: str = "bentofile.yaml",
) -> Built:
    """Build, store and export; a Bento of that name already stored stays beside the new one.

    Raises:
        StillhouseError: BentoML refused, with what it said.
    """
    folder = Path("bentos") / service
    # Not below the state folder: BentoML refuses to read files in hidden folders.
    with tempfile.TemporaryDirectory(prefix="stillhouse-package-") as scratch:
        staging = Path(scratch)
        _stage(staging, folder)
        code_mb = sum(f.stat().st_size for f in staging.rglob("*") if f.is_file()) / MEGABYTE
        fill(staging / folder)
        tag = _build(staging, folder / bentofile, name, labels)
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.unlink(missing_ok=True)
    _bentoml(["export", tag, str(archive.absolute())])
    return Built(tag, archive.stat().st_size / MEGABYTE, code_mb)


def home() -> Path:
    """The Bento store: BENTOML_HOME, else below the state folder."""
    return Path(os.environ.get("BENTOML_HOME", paths.state() / "bentoml")).absolute()


def _stage(staging: Path, service: Path) -> None:
    for folder in (service.parent, service, WEB):
        (staging / folder).mkdir(parents=True, exist_ok=True)
        for file in sorted((SOURCE / folder).iterdir()):
            if file.suffix in CODE:
                shutil.copyfile(file, staging / folder / file.name)


def _build(staging: Path, bentofile: Path, name: str, labels: Mapping[str, str]) -> str:
    flags = [part for key, value in labels.items() for part in ("--label", f"{key}={value}")]
    command = ["build", str(staging), "-f", str(staging / bentofile), "--name", name]
    output = _bentoml([*command, *flags, "--output", "tag"], cwd=staging)
    tags = [line.removeprefix("__tag__:") for line in output.splitlines() if "__tag__:" in line]
    if len(tags) != 1:
        raise StillhouseError(f"bentoml build named no Bento; it said: {output.strip()[-2000:]}")
    return tags[0].strip()


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
