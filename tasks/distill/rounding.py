"""Weights that are rounded to 4 bits while a student learns: quantization-aware distillation.

    round_blocks(model, group_size=64)   # every matrix of every block computes with rounded weights
    ...                                  # train
    settle(model)                        # rounded weights become the weights

The rounding is the one of `quantize` with bits: 4 and the same group size, so that what was learned
is what the engine computes with (Liu et al. 2023, LLM-QAT, arXiv:2305.17888). Gradients pass it as
if it were not there (straight-through estimator, Bengio et al. 2013, arXiv:1308.3432).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tasks.errors import ModelError

LOW, HIGH = -8, 7
"""Whole numbers of 4 bits with a sign."""


class RoundedLinear(nn.Linear):
    """A matrix product with rounded weights; names of weights stay, so checkpoints load."""

    def __init__(self, plain: nn.Linear, group_size: int) -> None:
        biased = plain.bias is not None
        super().__init__(plain.in_features, plain.out_features, biased, device="meta")
        self.weight, self.bias = plain.weight, plain.bias
        self.group_size = group_size

    def forward(self, given: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        rounded = rounded_weights(self.weight, self.group_size)
        straight = self.weight + (rounded - self.weight).detach()
        product: Tensor = functional.linear(given, straight, self.bias)
        return product


def rounded_weights(weight: Tensor, group_size: int) -> Tensor:
    """The nearest weights (out, in) that 4 bits can tell, one scale a group of inputs.

    The scale is signed, so that the farthest value of a group is told exactly, as -8: of whole
    numbers with a sign there is one more below zero than above.
    """
    groups: Tensor = weight.detach().unflatten(-1, (-1, group_size))  # (out, in / size, size)
    low, high = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True)
    scale = torch.where(low.abs() >= high, low.abs(), -high) / -LOW
    tiny = torch.finfo(scale.dtype).tiny
    scale = torch.where(scale.abs() < tiny, tiny, scale)
    return ((groups / scale).round().clamp(LOW, HIGH) * scale).flatten(-2)


def round_blocks(model: Any, group_size: int) -> None:
    """Make every matrix of the model's blocks compute with rounded weights.

    Raises:
        ModelError: the size of a group does not divide a matrix's inputs.
    """
    blocks = model.model.layers
    for name, part in [*blocks.named_modules()]:
        if isinstance(part, nn.Linear):
            if part.in_features % group_size:
                raise ModelError(
                    f"int4_group_size = {group_size} does not divide the {part.in_features} inputs "
                    f"of model.layers.{name}; set a divisor, or leave it out"
                )
            blocks.set_submodule(name, RoundedLinear(part, group_size))


def settle(model: nn.Module) -> None:
    """Make rounded weights the weights."""
    for part in model.modules():
        if isinstance(part, RoundedLinear):
            with torch.no_grad():
                part.weight.copy_(rounded_weights(part.weight, part.group_size))
