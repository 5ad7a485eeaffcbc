"""Weights of a GGUF file as a safetensors folder that stock transformers loads.

convert(Path("SmolLM2-135M-Instruct.Q4_1.gguf"), Path("models/fetch/base"))
"""

import os
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from tasks.errors import ModelError


def convert(gguf: Path, folder: Path) -> None:
    """Write config.json, model.safetensors (fp32, tied embeddings once) and
    generation_config.json; the tokenizer comes from tasks.fetch.tokenizer.

    Raises:
        ModelError: an architecture that transformers cannot read from GGUF.
    """
    try:
        loaded = AutoModelForCausalLM.from_pretrained(
            os.fspath(gguf.parent), gguf_file=gguf.name, dtype=torch.float32
        )
    except (ValueError, KeyError, NotImplementedError) as error:
        raise ModelError(
            f"{gguf}: transformers cannot convert it: {error}. Use the model's safetensors with "
            "hf: or path:."
        ) from error
    config = loaded.config
    # A model that says it is quantized refuses to be saved, though its weights are plain by now.
    del config.quantization_config
    factory: Any = AutoModelForCausalLM
    with torch.device("meta"):
        model = factory.from_config(config, dtype=torch.float32)
    model.load_state_dict(loaded.state_dict(), assign=True)
    model.tie_weights()
    model.generation_config = loaded.generation_config
    model.save_pretrained(folder)
