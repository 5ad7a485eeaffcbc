"""Builds the Bento of one model and exports it as one archive.

tag = build(model=Path("models/quantize/small-int8"), serving=serving, labels=labels,
            archive=Path("models/package/sentiment.tar"))
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bentos.generator import serving as serving_file
from bentos.generator.engine import Kind
from bentos.generator.serving import Serving
from tasks import bento_store, paths
from tasks.bento_store import Built

SUFFIX: Final[Mapping[Kind, str]] = {"openvino": "", "vllm": "-vllm"}
"""Of the files that a Bento is built from; transformers is the reference, and serves nobody."""

LEFT_OUT = shutil.ignore_patterns(paths.REPORT, "__pycache__")


def hashes(model: Path) -> dict[str, str]:
    """SHA-256 of every file of a candidate that its Bento holds."""
    kept = (
        file for file in sorted(model.iterdir()) if file.is_file() and file.name != paths.REPORT
    )
    return {file.name: serving_file.sha256(file) for file in kept}


def build(model: Path, serving: Serving, labels: Mapping[str, str], archive: Path) -> Built:
    """Build, store and export the model with the code that serves it.

    Raises:
        StillhouseError: BentoML refused, with what it said.
    """

    def fill(folder: Path) -> None:
        target = folder / "model"
        shutil.copytree(model, target, ignore=LEFT_OUT)
        serving_file.write(serving, target)

    bentofile = f"bentofile{SUFFIX[serving.engine]}.yaml"
    return bento_store.build("generator", serving.workload, fill, labels, archive, bentofile)


def requirements(engine: Kind) -> Path:
    """What a Bento with this engine installs."""
    return bento_store.SOURCE / f"bentos/generator/requirements{SUFFIX[engine]}.txt"
