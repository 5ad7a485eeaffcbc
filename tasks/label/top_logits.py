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
from tasks.config import Task
from tasks.examples import by_length, end_token, tokenize
from tasks.label.beginning import Beginning
from tasks.label.config import LabelConfig
from tasks.label.own_answers import answered
from tasks.progress import Progress
from tasks.records import Record


@torch.inference_mode()
def label(folder: Path, config: LabelConfig, task: Task) -> dict[str, Any]:
    """Run the teacher over the first training rows and store its top logits.

    Rows without a reference are answered by it first, and written with that answer.

    Returns:
        rows, forward passes, seconds, and the probability that the kept tokens cover.

    Raises:
        ModelError: the students have another tokenizer.
    """
    started = time.monotonic()
    teacher = paths.candidate(config.teacher)
    tokenizer = candidate.sha256(teacher / TOKENIZER)
    if config.spelt_by is not None:
        logits.check_tokenizer(config.teacher, tokenizer, paths.candidate(config.spelt_by))
    rows = records.read(paths.TRAIN, Record)[: config.rows]
    own = _own_answers(folder, teacher, config, task) if config.unlabelled else []
    model: Any = AutoModelForCausalLM.from_pretrained(teacher, dtype=torch.float32)
    model.to(precision.device()).eval()
    examples = tokenize([*rows, *own], teacher)
    fill = end_token(teacher)
    with precision.mixed():
        shared = Beginning(model, examples)
    kept: dict[str, tuple[torch.Tensor, ...]] = {}
    progress = Progress("label", len(examples))
    batches = by_length(examples, config.batch)
    for part in batches:
        with precision.mixed():
            batch = pad(shared.cut(part), fill).to(model.device)
            scores = answer_logits(model, batch, shared.cache(len(part))).log_softmax(-1)  # (A, V)
        top = scores.topk(min(config.top_k, scores.shape[-1]))
        others = scores.scatter(-1, top.indices, logits.NOTHING).logsumexp(-1)  # (A,)
        lengths = [len(example.answer) for example in part]
        split = (each.cpu().split(lengths) for each in (top.values, top.indices, others))
        kept |= {e.id: row for e, row in zip(part, zip(*split, strict=True), strict=True)}
        progress.advance(len(part))
    stored = logits.StoredLogits(
        config.teacher,
        tokenizer,
        [example.id for example in examples],
        *([kept[example.id][part] for example in examples] for part in range(3)),
    )
    written = logits.write(folder, stored, config.bits)
    mass = torch.cat(stored.values).exp().sum(-1)
    return {
        "teacher": config.teacher,
        "rows": len(examples),
        "unlabelled_rows": len(own),
        "forward_passes": len(batches),
        "shared_tokens": shared.tokens,
        "top_k": config.top_k,
        "probability_kept": {"mean": float(mass.mean()), "min": float(mass.min())},
        "bytes": written,
        "seconds": round(time.monotonic() - started, 1),
    }


def _own_answers(folder: Path, teacher: Path, config: LabelConfig, task: Task) -> list[Record]:
    rows = records.read(paths.UNLABELLED, Record)[: config.unlabelled]
    found = answered(teacher, rows, task, config.batch)
    records.write(folder / paths.UNLABELLED.name, found)
    return found
