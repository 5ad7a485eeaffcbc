"""A Hugging Face model as compressed-tensors, which vLLM and transformers load.

    convert(Path("models/distill/small"), Path("models/quantize/small-w8a8"), config, rows)

llm-compressor rounds: w8a8 multiplies integers of 8 bits (activations scaled by token), w4a16
keeps weights in groups of 4 bits, fp8 is for GPUs that multiply it. The output matrix stays as it
is.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from llmcompressor import oneshot
from llmcompressor.modifiers import Modifier
from llmcompressor.modifiers.gptq import GPTQModifier
from llmcompressor.modifiers.quantization import QuantizationModifier
from llmcompressor.modifiers.transform.awq import AWQModifier
from llmcompressor.modifiers.transform.smoothquant import SmoothQuantModifier
from loguru import logger
from torch import Tensor

from tasks import candidate
from tasks.errors import ModelError
from tasks.quantize import reference
from tasks.quantize.config import QuantizeConfig
from tasks.quantize.reference import NextLogits

PRESETS = {"w8a8": "W8A8", "fp8": "FP8_DYNAMIC"}


def convert(
    parent: Path, child: Path, config: QuantizeConfig, calibration: Sequence[Sequence[int]] = ()
) -> None:
    """Write the model of folder `parent` into folder `child`, its weights packed.

    `calibration` are the token ids of rows that corrections look at.

    Raises:
        ModelError: the size of a group does not divide a matrix, or AWQ without an accelerator.
    """
    if "awq" in config.corrections and not torch.accelerator.is_available():
        # It pins the memory of what it caches, and that fails where there is nothing to pin for.
        raise ModelError(
            "corrections = awq: llm-compressor's AWQ needs a GPU and there is none here; use gptq, "
            "or the format openvino, whose AWQ needs none"
        )
    logger.disable("llmcompressor")
    model = reference.load(parent)
    if config.scheme == "w4a16":
        reference.require_groups(model, config.group_size)
    rows = [{"input_ids": list(ids), "attention_mask": [1] * len(ids)} for ids in calibration]
    data: dict[str, Any] = {}
    if config.calibrated:
        data = {
            "dataset": Dataset.from_list(rows),
            "num_calibration_samples": len(rows),
            "max_seq_length": max(map(len, calibration)),
            "shuffle_calibration_samples": False,
        }
    oneshot(model=model, recipe=_recipe(config), **data)
    model.save_pretrained(child, save_compressed=True)
    candidate.copy_tokenizer(parent, child)


def next_logits(folder: Path) -> NextLogits:
    """The folder as transformers reads it; activations are rounded as the scheme has it."""
    return reference.next_logits(reference.load(folder))


def restored(folder: Path) -> dict[str, Tensor]:
    """The folder's weights as floats (out, in), by their names in the original."""
    model = reference.load(folder)
    # The first call unpacks.
    reference.next_logits(model)([0])
    weights = model.named_parameters()
    return {name: value for name, value in weights if name.endswith((".weight", ".bias"))}


def _recipe(config: QuantizeConfig) -> list[Modifier]:
    """What llm-compressor does, in order."""
    rounding: dict[str, Any] = {"ignore": ["lm_head"]}
    if config.scheme == "w4a16":
        weights = {
            "num_bits": 4,
            "type": "int",
            "symmetric": True,
            "strategy": "group",
            "group_size": config.group_size,
        }
        rounding["config_groups"] = {"blocks": {"targets": ["Linear"], "weights": weights}}
    else:
        rounding |= {"targets": "Linear", "scheme": PRESETS[str(config.scheme)]}
    recipe: list[Modifier] = []
    if "smoothquant" in config.corrections:
        recipe.append(SmoothQuantModifier())
    if "awq" in config.corrections:
        recipe.append(AWQModifier())
    rounder = GPTQModifier if "gptq" in config.corrections else QuantizationModifier
    return [*recipe, rounder(**rounding)]
