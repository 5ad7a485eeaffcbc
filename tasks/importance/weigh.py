"""Scores of a model's parts on training rows: `python -m tasks.importance lora`.

Stored once and versioned, so that every other way to prune the same model costs no forward pass.
"""

import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from tasks import importance_scores, paths, precision, records
from tasks.examples import by_length, end_token, tokenize
from tasks.importance.activations import Activations
from tasks.importance.config import ImportanceConfig
from tasks.importance.leave_one_out import Losses, block_losses
from tasks.importance_scores import SCORES, Scores
from tasks.progress import Progress
from tasks.records import Record

SHARES = (0.25, 0.5, 0.75)
"""Of the parts, the most important first: the report tells how much of all importance they hold."""


@torch.inference_mode()
def weigh(folder: Path, config: ImportanceConfig) -> dict[str, Any]:
    """Run the model over `rows` training rows and store what its parts did.

    Returns:
        rows, forward passes, seconds, and how unevenly importance is spread.

    Raises:
        ModelError: the model is not built like Llama.
    """
    started = time.monotonic()
    parent = paths.candidate(config.of)
    model: Any = AutoModelForCausalLM.from_pretrained(parent, dtype=torch.float32)
    model.to(precision.device()).eval()
    examples = tokenize(records.read(paths.TRAIN, Record)[: config.rows], parent)
    batches = by_length(examples, config.batch)
    layers = model.config.num_hidden_layers
    passes = 2 + layers if config.leave_one_out else 1
    progress = Progress("importance", passes * len(examples))
    fill = end_token(parent)
    activations = Activations(model)
    for batch in batches:
        activations.read(batch, fill)
        progress.advance(len(batch))
    losses = block_losses(model, batches, fill, progress) if config.leave_one_out else None
    scores = Scores(
        of=config.of,
        block_influence=activations.block_influence(),
        block_loss=None if losses is None else losses.without,
        neurons=activations.neurons(),
        heads=activations.heads(),
        channels=activations.channels(),
    )
    importance_scores.write(folder, scores)
    return {
        "of": config.of,
        "rows": len(examples),
        "tokens": sum(example.tokens for example in examples),
        "forward_passes": passes * len(batches),
        "block_influence": _rounded(scores.block_influence),
        **(_told(losses) if losses else {}),
        "held_by_most_important": {
            name: {f"{share:.0%}": _held(values, share) for share in SHARES}
            for name, values in (
                ("neurons", scores.neurons),
                ("heads", scores.heads),
                ("channels", scores.channels),
            )
        },
        "bytes": (folder / SCORES).stat().st_size,
        "seconds": round(time.monotonic() - started, 1),
    }


def _told(losses: Losses) -> dict[str, Any]:
    return {"loss": round(losses.whole, 6), "block_loss": _rounded(losses.without)}


def _held(values: Tensor, share: float) -> float:
    """Mean over the rows of `values`: what part of a row's sum its largest entries are."""
    largest = values.topk(max(1, round(share * values.shape[-1]))).values
    return round(float((largest.sum(-1) / values.sum(-1)).mean()), 4)


def _rounded(values: Tensor) -> list[float]:
    return [round(value, 6) for value in values.tolist()]
