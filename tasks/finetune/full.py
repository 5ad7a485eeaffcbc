"""Every weight is trained: `python -m tasks.finetune small`, for models small enough for Adam."""

from pathlib import Path
from typing import Any

from tasks.finetune.answers import Method, base, tune
from tasks.finetune.config import FinetuneConfig


def finetune(name: str, config: FinetuneConfig) -> dict[str, Any]:
    """Train `name` from its parent; the report is that of `tune`."""
    return tune(name, config, Method(lambda _, parent: base(parent), _save))


def _save(config: FinetuneConfig, folder: Path, parent: Path, model: Any) -> None:
    model.save_pretrained(folder)
