"""What every part of a model does on calibration rows, from one forward pass over them.

    activations = Activations(model)
    activations.read(batch, fill)
    activations.neurons()                # (L, N)

A block that hardly turns the direction of what passes through it can go (ShortGPT, Men et al.
2024, arXiv:2403.03853). Neurons, heads and channels are weighed by the size of their activation:
its mean over the tokens of a row, then the root of the mean square over rows (Minitron,
Muralidharan et al. 2024, arXiv:2407.14679, section 2.2).
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tasks.batches import pad
from tasks.errors import ModelError
from tasks.examples import Example

NORMS = ("input_layernorm", "post_attention_layernorm")


class Activations:
    """Sums over all rows that were read."""

    def __init__(self, model: Any) -> None:
        """Sums of nothing.

        Raises:
            ModelError: the model lacks a part that is to be looked at.
        """
        self._model = model
        self._blocks = list(model.model.layers)
        self._heads = model.config.num_attention_heads
        self._parts = list(_parts(model))
        self._squares: dict[str, Tensor] = {}
        self._turned = torch.zeros(len(self._blocks), dtype=torch.float64)
        self._rows = self._tokens = 0

    def read(self, examples: Sequence[Example], fill: int) -> None:
        """One forward pass over a batch."""
        padded = pad(examples, fill).to(self._model.device)
        real = padded.attention_mask.bool()  # (B, T)
        states: list[Tensor] = []
        with self._watched(states, real):
            self._model.model(
                input_ids=padded.input_ids, attention_mask=padded.attention_mask, use_cache=False
            )
        for block, (before, after) in enumerate(itertools.pairwise(states)):
            cosine = nn.functional.cosine_similarity(before[real], after[real], dim=-1)
            self._turned[block] += (1 - cosine.double()).sum().cpu()
        self._rows += len(examples)
        self._tokens += int(real.sum())

    def block_influence(self) -> Tensor:
        """One minus the mean cosine between what enters and what leaves each block, (L,)."""
        return self._turned / self._tokens

    def neurons(self) -> Tensor:
        """(L, N)"""
        return self._stacked(f"{n}.neurons" for n in range(len(self._blocks)))

    def heads(self) -> Tensor:
        """(L, A)"""
        return self._stacked(f"{n}.heads" for n in range(len(self._blocks)))

    def channels(self) -> Tensor:
        """(2L + 1, H), in the order of the norms in the model."""
        names = [f"{n}.{norm}" for n in range(len(self._blocks)) for norm in NORMS]
        return self._stacked([*names, "norm"])

    def _stacked(self, names: Iterator[str] | list[str]) -> Tensor:
        return torch.stack([(self._squares[name] / self._rows).sqrt() for name in names])

    @contextmanager
    def _watched(self, states: list[Tensor], real: Tensor) -> Iterator[None]:
        """Within, forward passes add to the sums, and to `states` what passes between blocks.

        By hooks: the library's own hidden states end after the final norm, which would make the
        last block's influence that of the norm.
        """
        hooks = [
            b.register_forward_pre_hook(lambda _, a: states.append(a[0])) for b in self._blocks
        ]
        last = self._blocks[-1]
        hooks.append(last.register_forward_hook(lambda _, __, out: states.append(_tensor(out))))
        for name, part, before in self._parts:
            add = self._adder(name, real)
            if before:
                hooks.append(part.register_forward_pre_hook(lambda _, a, add=add: add(a[0])))
            else:
                hooks.append(part.register_forward_hook(lambda _, __, out, add=add: add(out)))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _adder(self, name: str, real: Tensor) -> Callable[[Tensor], None]:
        def add(values: Tensor) -> None:  # (B, T, F)
            sizes = values.abs()
            if name.endswith(".heads"):
                sizes = values.unflatten(-1, (self._heads, -1)).norm(dim=-1)  # (B, T, A)
            # Not by multiplication: what stands at padding need not be finite.
            sizes = sizes.masked_fill(~real[..., None], 0)
            means = sizes.sum(1) / real.sum(1, keepdim=True)  # (B, F)
            squares = means.double().square().sum(0).cpu()
            self._squares[name] = self._squares.get(name, 0) + squares

        return add


def _parts(model: Any) -> Iterator[tuple[str, nn.Module, bool]]:
    """Name of what is weighed, the module that shows it, and whether its input does."""
    try:
        for number, block in enumerate(model.model.layers):
            yield f"{number}.neurons", block.mlp.down_proj, True
            yield f"{number}.heads", block.self_attn.o_proj, True
            for norm in NORMS:
                yield f"{number}.{norm}", getattr(block, norm), False
        yield "norm", model.model.norm, False
    except AttributeError as error:
        raise ModelError(
            f"{type(model).__name__}: {error}: importance is for models built like Llama; prune "
            "this one by depth with blocks: ends, which needs none"
        ) from error


def _tensor(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    return output[0] if isinstance(output, tuple) else output
