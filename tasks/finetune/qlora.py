"""QLoRA: a low-rank update beside weights in 4 bits (Dettmers et al. 2023, arXiv:2305.14314).

    large: {from: fetch/large, method: qlora, max_steps: 500}

A GPU holds a model four times larger so. The update is merged into the weights as they were.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from peft import prepare_model_for_kbit_training
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from tasks import paths
from tasks.errors import ConfigError, Problem
from tasks.finetune import adapter
from tasks.finetune.answers import Method, tune
from tasks.finetune.config import FinetuneConfig
from tasks.training import attention


def _start(config: FinetuneConfig, parent: Path) -> Any:
    model = AutoModelForCausalLM.from_pretrained(
        parent,
        dtype=torch.float32,
        attn_implementation=attention(),
        device_map={"": torch.cuda.current_device()},
        quantization_config=BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        ),
    )
    ready = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    return adapter.attach(ready, config)


METHOD = Method(_start, adapter.merge)


def finetune(name: str, config: FinetuneConfig) -> dict[str, Any]:
    """Train `name` from its parent; the report is that of `tune`.

    Raises:
        ConfigError: this machine has no GPU, or bitsandbytes is not installed.
    """
    missing = _missing()
    if missing:
        key = f"{name.replace('/', '.')}.method"
        raise ConfigError([Problem(str(paths.PARAMS), key, config.method, missing)])
    return tune(name, config, METHOD)


def _missing() -> str:
    if not torch.cuda.is_available():
        return (
            "4-bit weights are multiplied by kernels for a GPU, and this machine has none: run on "
            "the pool gpu, or choose lora"
        )
    if find_spec("bitsandbytes") is None:
        return "needs bitsandbytes: pip install -e .[gpu], or choose lora"
    return ""
