"""Depth pruning by block influence: `python -m tasks.prune depth16`.

A block that hardly turns the direction of what passes through it can go (ShortGPT, Men et al.
2024, arXiv:2403.03853). Where so many go that the result must be healed by training anyway, the
first blocks and the last heal better than influential ones that were never neighbours. Either way
the result is a shorter model of the same architecture.
"""

import itertools
from pathlib import Path
from typing import Any, assert_never

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from tasks import candidate, paths, records
from tasks.batches import pad
from tasks.errors import ConfigError, Problem
from tasks.examples import Example, by_length, end_token, tokenize
from tasks.progress import Progress
from tasks.prune.config import PruneConfig
from tasks.records import Record


def prune(name: str, config: PruneConfig) -> dict[str, Any]:
    """Keep `keep_layers` blocks of the parent.

    Returns:
        influence of every block (0: does nothing), which stay, and sizes in parameters.

    Raises:
        ConfigError: the parent has no more blocks than are to stay.
    """
    parent = paths.candidate(config.parent)
    model = AutoModelForCausalLM.from_pretrained(parent, dtype=torch.float32)
    layers = model.config.num_hidden_layers
    if config.keep_layers >= layers:
        key, value = f"{name.replace('/', '.')}.keep_layers", str(config.keep_layers)
        remedy = f"{config.parent} has {layers} blocks; keep fewer"
        raise ConfigError([Problem(str(paths.PARAMS), key, value, remedy)])
    rows = records.read(paths.TRAIN, Record)[: config.calibration_rows]
    influence = block_influence(model, tokenize(rows, parent), config.batch, end_token(parent))
    kept = choose(influence, config)
    before = model.num_parameters()
    keep_blocks(model, kept)
    _save(name, config, parent, model)
    return {
        "candidate": name,
        "parent": config.parent,
        "method": config.method,
        "blocks": config.blocks,
        "block_influence": influence,
        "kept_blocks": kept,
        "parameters_before": before,
        "parameters_after": model.num_parameters(),
    }


@torch.inference_mode()
def block_influence(model: Any, examples: list[Example], batch: int, fill: int) -> list[float]:
    """One minus the mean cosine between what enters and what leaves each block."""
    model.eval()
    total = torch.zeros(model.config.num_hidden_layers, dtype=torch.float64)
    tokens = 0
    progress = Progress("prune", len(examples))
    for part in by_length(examples, batch):
        padded = pad(part, fill)
        states = _block_inputs(model, padded.input_ids, padded.attention_mask)
        real = padded.attention_mask.bool()
        for block, (before, after) in enumerate(itertools.pairwise(states)):
            total[block] += nn.functional.cosine_similarity(before[real], after[real], dim=-1).sum()
        tokens += int(real.sum())
        progress.advance(len(part))
    return [round(float(1 - score / tokens), 6) for score in total]


def _block_inputs(model: Any, ids: Tensor, mask: Tensor) -> list[Tensor]:
    """The residual stream before each block and after the last, each (B, T, H).

    Taken by hooks: the library's own hidden states end after the final norm, which would make the
    last block's influence that of the norm.
    """
    states: list[Tensor] = []
    blocks = model.model.layers
    hooks = [block.register_forward_pre_hook(lambda _, a: states.append(a[0])) for block in blocks]
    hooks.append(blocks[-1].register_forward_hook(lambda _, __, out: states.append(_tensor(out))))
    try:
        model.model(input_ids=ids, attention_mask=mask, use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    return states


def _tensor(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    return output[0] if isinstance(output, tuple) else output


def choose(influence: list[float], config: PruneConfig) -> list[int]:
    """Indices of the blocks that stay, in their order in the model."""
    match config.blocks:
        case "influential":
            return most_influential(influence, config.keep_layers)
        case "ends":
            return [*range(config.keep_layers - 1), len(influence) - 1]
        case _:
            assert_never(config.blocks)


def most_influential(influence: list[float], keep: int) -> list[int]:
    """Indices of the `keep` most influential blocks, in their order in the model."""
    ranked = sorted(range(len(influence)), key=lambda block: (-influence[block], block))
    return sorted(ranked[:keep])


def keep_blocks(model: Any, kept: list[int]) -> None:
    """Shorten `model` in place to the blocks `kept`; stock loaders read the result."""
    model.model.layers = nn.ModuleList(model.model.layers[block] for block in kept)
    for position, block in enumerate(model.model.layers):
        block.self_attn.layer_idx = position
    model.config.num_hidden_layers = len(kept)
    kinds = getattr(model.config, "layer_types", None)
    if kinds is not None:
        model.config.layer_types = [kinds[block] for block in kept]


def _save(name: str, config: PruneConfig, parent: Path, model: Any) -> None:
    folder = candidate.fresh_folder(name)
    model.save_pretrained(folder)
    candidate.copy_tokenizer(parent, folder)
    candidate.write(candidate.describe(name, config.parent, config, paths.TRAIN))
