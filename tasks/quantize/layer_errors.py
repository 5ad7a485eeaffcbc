"""What quantized weights do to every layer: which matrices lose most, which blocks matter most.

    measure(model, openvino_ir.restored(folder), rows)
    # {"matrices": {"model.layers.0.mlp.up_proj": 0.0041, ...},
    #  "blocks": {"model.layers.0": {"output_error": 0.0032, "kl": 1.2e-05}, ...},
    #  "most_sensitive": ["model.layers.29", ...], ...}

Weights alone: what an engine rounds on the way (activations, caches) is in the parity.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from tasks.progress import Progress

REST = "rest"
"""Everything outside the blocks: embeddings, last norm, output matrix."""

NAMED = 5
"""How many of the worst are named by themselves."""

FITS = 4
"""Turns in which the scales of rows and columns are fitted."""


@torch.inference_mode()
def measure(
    model: PreTrainedModel, weights: Mapping[str, Tensor], rows: Sequence[Sequence[int]]
) -> dict[str, object]:
    """Errors of the quantized `weights` of a model, on the token ids of `rows`.

    Returns:
        of every matrix, the relative error of its weights; of every block, the relative error of
        what it adds to the stream when its input is exact, and the divergence of the next-token
        distribution (nats, mean over tokens) when this block alone is quantized.
    """
    rounded = _with(model, weights)
    matrices = {
        name: _matrix_error(part.weight, rounded.get_parameter(f"{name}.weight"))
        for name, part in model.named_modules()
        if isinstance(part, nn.Linear)
    }
    output_errors = _output_errors(model, rounded, rows)
    divergences = _divergences(model, rounded, rows)
    blocks = {
        name: {"output_error": output_errors.get(name), "kl": kl}
        for name, kl in divergences.items()
    }
    return {
        "rows": len(rows),
        "tokens": sum(map(len, rows)),
        "matrices": matrices,
        "blocks": blocks,
        "worst_matrices": sorted(matrices, key=lambda name: -matrices[name])[:NAMED],
        "most_sensitive": sorted(divergences, key=lambda name: -divergences[name])[:NAMED],
    }


def _with(model: PreTrainedModel, weights: Mapping[str, Tensor]) -> PreTrainedModel:
    rounded = copy.deepcopy(model)
    parameters = dict(rounded.named_parameters(remove_duplicate=False))
    for name, value in weights.items():
        parameters[name].copy_(value.reshape(parameters[name].shape))
    return rounded


def _matrix_error(exact: Tensor, rounded: Tensor) -> float:
    """Relative error (Frobenius) of a matrix (out, in) but for scales of its rows and columns.

    AWQ and SmoothQuant move scales from a matrix to its neighbour: that is no error.
    """
    rows = torch.ones(len(exact), 1)
    columns = torch.ones(1, exact.shape[1])
    for _ in range(FITS):
        rows = _scale(exact * columns, rounded, 1)
        columns = _scale(exact * rows, rounded, 0)
    scale = rows * columns
    rest = torch.where(scale != 0, rounded / scale, 0) - exact
    return float(rest.norm() / exact.norm().clamp_min(torch.finfo(torch.float32).tiny))


def _scale(exact: Tensor, rounded: Tensor, dim: int) -> Tensor:
    """By what to multiply each row or column of `exact` to come closest to `rounded`."""
    squares = exact.square().sum(dim, keepdim=True)
    return torch.where(squares > 0, (exact * rounded).sum(dim, keepdim=True) / squares, 1)


def _blocks(model: Any) -> nn.ModuleList:
    blocks: nn.ModuleList = model.model.layers
    return blocks


def _name(block: int) -> str:
    return f"model.layers.{block}"


def _output_errors(
    model: PreTrainedModel, rounded: PreTrainedModel, rows: Sequence[Sequence[int]]
) -> dict[str, float]:
    """Relative error of what each block adds, given what the exact block is given."""
    count = len(_blocks(model))
    squares = torch.zeros(count, 2, dtype=torch.float64)  # of the error, of what is added

    def compare(block: int, inputs: tuple[Any, ...], options: Any, output: Any) -> None:
        added = _first(output) - inputs[0]  # (1, T, H)
        other = _first(_blocks(rounded)[block](*inputs, **options)) - inputs[0]
        squares[block] += torch.stack([(other - added).square().sum(), added.square().sum()])

    hooks = [
        part.register_forward_hook(
            lambda _, inputs, options, output, block=block: compare(block, inputs, options, output),
            with_kwargs=True,
        )
        for block, part in enumerate(_blocks(model))
    ]
    for ids in rows:
        _logits(model, ids)
    for hook in hooks:
        hook.remove()
    errors = (squares[:, 0] / squares[:, 1].clamp_min(1e-30)).sqrt()
    return {_name(block): float(errors[block]) for block in range(count)}


def _first(output: Any) -> Tensor:
    found: Tensor = output[0] if isinstance(output, tuple) else output
    return found


def _divergences(
    model: PreTrainedModel, rounded: PreTrainedModel, rows: Sequence[Sequence[int]]
) -> dict[str, float]:
    """KL divergence of the next-token distribution with one block quantized at a time."""
    expected = [_logits(model, ids).log_softmax(-1) for ids in rows]
    tokens = sum(map(len, rows))
    found = {}
    names = [REST, *map(_name, range(len(_blocks(model))))]
    progress = Progress("quantize:layers", len(names))
    for name in names:
        with _one_rounded(model, rounded, name) as mixed:
            total = sum(
                float(
                    (p.exp() * (p - _logits(mixed, ids).log_softmax(-1))).sum(dtype=torch.float64)
                )
                for p, ids in zip(expected, rows, strict=True)
            )
        found[name] = max(0.0, total / tokens)
        progress.advance()
    return found


@contextmanager
def _one_rounded(
    model: PreTrainedModel, rounded: PreTrainedModel, name: str
) -> Iterator[PreTrainedModel]:
    """The exact model with the blocks, or the rest, called `name` of the rounded one."""
    if name == REST:
        own, others = rounded, list(_blocks(model))
    else:
        block = int(name.rpartition(".")[2])
        own, others = model, list(_blocks(model))
        others[block] = _blocks(rounded)[block]
    kept = list(_blocks(own))
    try:
        for number, block_of in enumerate(others):
            _blocks(own)[number] = block_of
        yield own
    finally:
        for number, block_of in enumerate(kept):
            _blocks(own)[number] = block_of


def _logits(model: PreTrainedModel, ids: Sequence[int]) -> Tensor:
    """Logits (T, V) after every token."""
    logits: Tensor = model(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0]
    return logits
