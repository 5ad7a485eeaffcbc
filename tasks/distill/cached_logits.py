"""Distillation from stored logits: `python -m tasks.distill small`.

The teacher is never loaded: a second student costs no forward pass of it.
"""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tasks import logits, paths, precision, records
from tasks.batches import Batch, answer_logits
from tasks.distill import losses, student
from tasks.distill.config import DistillConfig
from tasks.examples import tokenize
from tasks.records import Record


class Said(NamedTuple):
    """What the teacher said to one example's answer of a tokens."""

    values: Tensor  # (a, K)
    tokens: Tensor  # (a, K)
    rests: Tensor  # (a,)


def distill(name: str, config: DistillConfig) -> dict[str, Any]:
    """Train `name` from its parent on a teacher's stored logits.

    Returns:
        steps, seconds, teacher forward passes (none) and the learning curve in nats per token.

    Raises:
        ModelError: teacher and student do not share a tokenizer.
    """
    labels = paths.labels(str(config.labels))
    stored = logits.read(labels)
    logits.check_tokenizer(stored.teacher, stored.tokenizer, paths.candidate(config.parent))
    run = student.begin(name, config)

    def loss(model: Any, batch: Batch, inputs: dict[str, Tensor]) -> Tensor:
        with precision.mixed():
            scores = answer_logits(model, batch)
        said = Said(*(inputs[field] for field in Said._fields))
        return stored_loss(scores, batch.answers, said, config)

    model = student.load(config)
    lessons = _lessons(stored, labels, run)
    trainer = student.fit(config, run, model, lessons, _gather, loss)
    labelled = {f"label/{config.labels}": labels}
    report = student.finish(name, config, run, trainer, len(stored.ids), labelled)
    return report | {"teacher": stored.teacher, "teacher_forward_passes": 0}


def stored_loss(scores: Tensor, answers: Tensor, said: Said, config: DistillConfig) -> Tensor:
    """The mix of a divergence from what was said with the cross-entropy of the answers.

    Args:
        scores: the student's logits, (A, V).
        answers: the reference tokens, (A,).
        said: the teacher's log-probabilities at the same positions.
        config: divergence, rest, temperature and weight.
    """
    heat = config.temperature
    if config.rest == "one_token":
        pair = losses.aligned_with_rest(scores, said.values, said.tokens, said.rests, heat)
    else:
        pair = losses.aligned(scores, said.values, said.tokens, heat)
    return losses.mixed(losses.diverge(*pair, config), scores, answers, config)


def _lessons(stored: logits.StoredLogits, labels: Path, run: student.Run) -> student.Lessons:
    wanted = set(stored.ids)
    # What the teacher answered itself stands beside its logits.
    own = labels / paths.UNLABELLED.name
    files = [paths.TRAIN, own] if own.is_file() else [paths.TRAIN]
    rows = {r.id: r for file in files for r in records.read(file, Record) if r.id in wanted}
    examples = tokenize([rows[id_] for id_ in stored.ids], run.folder)
    said = map(Said, stored.values, stored.tokens, stored.rests)
    return student.Lessons(examples, list(said))


def _gather(said: list[Said]) -> dict[str, Tensor]:
    return {field: torch.cat([getattr(each, field) for each in said]) for field in Said._fields}
