"""The model that a variant is made of, as it was trained: what every format is held against.

model = load(Path("models/distill/small"))
logits = next_logits(model)([1, 9690, 198])  # (V,)
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedModel

from tasks.errors import ModelError

Logits = NDArray[np.float64]
NextLogits = Callable[[Sequence[int]], Logits]
"""Logits (V,) after the last of the token ids."""


def load(folder: Path) -> PreTrainedModel:
    """The model in float32."""
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=torch.float32,
        attn_implementation="sdpa",
        trust_remote_code=False,
        use_safetensors=True,
    )
    reference: PreTrainedModel = model.eval()
    return reference


def next_logits(model: PreTrainedModel) -> NextLogits:
    """The model as a function from token ids to the logits after them."""

    def read(ids: Sequence[int]) -> Logits:
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([list(ids)])).logits
        last: Logits = logits[0, -1].double().numpy()
        return last

    return read


def require_groups(model: PreTrainedModel, size: int) -> None:
    """Refuse a size of groups that leaves a rest in some matrix of a block.

    Raises:
        ModelError: naming the matrix, its inputs and sizes that would do.
    """
    head = model.get_output_embeddings()
    for name, part in model.named_modules():
        if isinstance(part, nn.Linear) and part is not head and part.in_features % size:
            able = [n for n in (128, 64, 32, 16) if part.in_features % n == 0]
            raise ModelError(
                f"group_size = {size} does not divide the {part.in_features} inputs of {name}: "
                + (f"set one of {able}" if able else "keep 8 bits")
            )
