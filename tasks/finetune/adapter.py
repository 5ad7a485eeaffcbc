"""Low-rank updates beside frozen weights: LoRA, rsLoRA and DoRA, by peft.

Kept are merged weights, which every loader reads, and in adapter/ the update alone.
"""

import json
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel, get_peft_model

from tasks.finetune.answers import base
from tasks.finetune.config import FinetuneConfig

FOLDER = "adapter"
MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def attach(model: Any, config: FinetuneConfig) -> Any:
    """The model with an update that does nothing yet."""
    return get_peft_model(
        model,
        LoraConfig(
            r=config.rank,
            lora_alpha=config.alpha,
            lora_dropout=config.dropout,
            use_rslora=config.rslora,
            use_dora=config.dora,
            target_modules=MODULES,
            task_type="CAUSAL_LM",
        ),
    )


def merge(config: FinetuneConfig, folder: Path, parent: Path, model: Any) -> None:
    """Merge into the parent's weights as they were, not as training rounded them."""
    model.save_pretrained(folder / FOLDER)
    _settle(folder / FOLDER / "adapter_config.json")
    tuned: Any = PeftModel.from_pretrained(base(parent), folder / FOLDER)
    tuned.merge_and_unload().save_pretrained(folder)


def _settle(file: Path) -> None:
    """Name the modules in an order that is always the same: peft keeps them as a set."""
    content = json.loads(file.read_text(encoding="utf-8"))
    content["target_modules"] = sorted(content["target_modules"])
    file.write_text(json.dumps(content, indent=2, sort_keys=True), encoding="utf-8")
