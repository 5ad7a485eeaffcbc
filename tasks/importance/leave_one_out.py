"""Loss on the answers of calibration rows with each block left out in turn.

    block_losses(model, batches, fill, progress).without       # (L,), nats per answer token

Dearer than block influence by a factor of the blocks, but it sees what the workload asks (Minitron
does so with perplexity, Muralidharan et al. 2024, arXiv:2407.14679, section 2.2).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from tasks.batches import answer_logits, pad
from tasks.examples import Example
from tasks.progress import Progress


class Losses(NamedTuple):
    """Nats per answer token: of the whole model, and without each of its L blocks, (L,)."""

    whole: float
    without: Tensor


def block_losses(
    model: Any, batches: Sequence[Sequence[Example]], fill: int, progress: Progress
) -> Losses:
    """One forward pass over all batches for the whole model and for each block."""
    whole = _loss(model, batches, fill, progress)
    without = []
    for block in model.model.layers:
        hook = block.register_forward_hook(_passed_through)
        try:
            without.append(_loss(model, batches, fill, progress))
        finally:
            hook.remove()
    return Losses(whole, torch.tensor(without))


def _passed_through(_: Any, arguments: tuple[Tensor, ...], output: Any) -> Any:
    """What enters a block instead of what leaves it."""
    entered = arguments[0]
    return (entered, *output[1:]) if isinstance(output, tuple) else entered


def _loss(model: Any, batches: Sequence[Sequence[Example]], fill: int, progress: Progress) -> float:
    total, tokens = 0.0, 0
    for examples in batches:
        batch = pad(examples, fill).to(model.device)
        scores = answer_logits(model, batch)  # (A, V)
        total += float(functional.cross_entropy(scores, batch.answers, reduction="sum"))
        tokens += len(batch.answers)
        progress.advance(len(examples))
    return total / tokens
