"""Distillation from a teacher's answers as text: `python -m tasks.distill told`.

Nothing is shared with the teacher but words, so its tokenizer and its weights may be anyone's
(sequence-level distillation, Kim and Rush 2016, arXiv:1606.07947). `ask` collects the answers.
"""

from typing import Any

from torch import Tensor

from tasks import paths, records
from tasks.batches import Batch
from tasks.distill import student
from tasks.distill.config import DistillConfig
from tasks.examples import tokenize
from tasks.records import Record


def distill(name: str, config: DistillConfig) -> dict[str, Any]:
    """Train `name` from its parent on answers that `ask` kept.

    Returns:
        steps, seconds and the learning curve in nats per token.
    """
    answers = paths.answers(str(config.answers))
    run = student.begin(name, config)
    examples = tokenize(records.read(answers / paths.TRAIN.name, Record), run.folder)
    lessons = student.Lessons(examples, [None] * len(examples))

    def loss(model: Any, batch: Batch, _: dict[str, Tensor]) -> Tensor:
        return student.reference_loss(model, batch)

    trainer = student.fit(config, run, student.load(config), lessons, dict, loss)
    asked = {f"ask/{config.answers}": answers}
    return student.finish(name, config, run, trainer, len(examples), asked)
