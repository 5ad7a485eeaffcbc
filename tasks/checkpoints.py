"""Where an interrupted training goes on from, outside DVC's outputs.

    .stillhouse/scratch/finetune/3f9c…/checkpoint-50/

DVC deletes a stage's outputs before it runs, so checkpoints live in scratch, in a folder named by
everything that the training depends on: other data or parameters never resume from them.
"""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from tasks import candidate, paths


def folder(stage: str, config: BaseModel, inputs: Sequence[Path]) -> Path:
    """The scratch folder of one training; the same inputs and config give the same folder."""
    told = json.dumps(config.model_dump(mode="json"), sort_keys=True)
    parts = [told, *(candidate.sha256(path) for path in inputs)]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]
    made = paths.scratch(stage) / key
    made.mkdir(parents=True, exist_ok=True)
    return made


def discard(made: Path) -> None:
    """Remove the checkpoints of a training that has ended well."""
    shutil.rmtree(made)
