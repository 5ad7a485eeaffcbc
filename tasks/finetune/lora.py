"""LoRA, rsLoRA and DoRA: `python -m tasks.finetune lora`."""

from pathlib import Path
from typing import Any

import torch

from tasks import precision
from tasks.finetune import adapter
from tasks.finetune.answers import Method, base, tune
from tasks.finetune.config import FinetuneConfig


def _start(config: FinetuneConfig, parent: Path) -> Any:
    model = base(parent)
    if precision.has_bf16():
        # Frozen weights would be rounded in every pass, which costs what bf16 gains.
        model.model.layers.to(torch.bfloat16)
    return adapter.attach(model, config)


METHOD = Method(_start, adapter.merge)


def finetune(name: str, config: FinetuneConfig) -> dict[str, Any]:
    """Train `name` from its parent; the report is that of `tune`."""
    return tune(name, config, METHOD)
