"""The teacher's most likely tokens at every answer position: `python -m tasks.label lora`.

Stored once and versioned, so that a second student costs no forward pass of the teacher.
"""

import time
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from bentos.generator.prompt import TOKENIZER
from tasks import candidate, logits, paths, precision, records
from tasks.batches import answer_logits, pad
from tasks.examples import by_length, end_token, tokenize
from tasks.label.beginning import Beginning
from tasks.label.config import LabelConfig
from tasks.progress import Progress
from tasks.records import Record


@torch.inference_mode()
def label(folder: Path, config: LabelConfig) -> dict[str, Any]:
    """Run the teacher over the first `rows` training rows and store its top logits.

    Returns:
        rows, forward passes, seconds, and the probability that the kept tokens cover.
    """
    started = time.monotonic()
    teacher = paths.candidate(config.teacher)
    model = AutoModelForCausalLM.from_pretrained(teacher, dtype=torch.float32).eval()
    examples = tokenize(records.read(paths.TRAIN, Record)[: config.rows], teacher)
    fill = end_token(teacher)
    with precision.mixed():
        shared = Beginning(model, examples)
    kept: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    progress = Progress("label", len(examples))
    batches = by_length(examples, config.batch)
    for part in batches:
        with precision.mixed():
            batch = pad(shared.cut(part), fill)
            scores = answer_logits(model, batch, shared.cache(len(part))).log_softmax(-1)  # (A, V)
        top = scores.topk(min(config.top_k, scores.shape[-1]))
        lengths = [len(example.answer) for example in part]
        values, tokens = top.values.split(lengths), top.indices.split(lengths)
        kept |= {e.id: pair for e, pair in zip(part, zip(values, tokens, strict=True), strict=True)}
        progress.advance(len(part))
    stored = logits.StoredLogits(
        config.teacher,
        candidate.sha256(teacher / TOKENIZER),
        [example.id for example in examples],
        [kept[example.id][0] for example in examples],
        [kept[example.id][1] for example in examples],
    )
    logits.write(folder, stored)
    mass = torch.cat(stored.values).exp().sum(-1)
    return {
        "teacher": config.teacher,
        "rows": len(examples),
        "forward_passes": len(batches),
        "shared_tokens": shared.tokens,
        "top_k": config.top_k,
        "probability_kept": {"mean": float(mass.mean()), "min": float(mass.min())},
        "bytes": (folder / logits.TENSORS).stat().st_size,
        "seconds": round(time.monotonic() - started, 1),
    }
