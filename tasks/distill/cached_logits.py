"""Distillation from stored logits: `python -m tasks.distill small`.

The loss is a mix of the divergence from the teacher's softened answer and the cross-entropy of the
reference. The teacher is never loaded.
"""

import json
import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset
from transformers import (
    AutoModelForCausalLM,
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)
from transformers.trainer_utils import get_last_checkpoint

from bentos.generator.prompt import CHAT_TEMPLATE, TOKENIZER
from tasks import candidate, checkpoints, logits, paths, precision, records
from tasks.batches import Batch, answer_logits, pad
from tasks.distill.config import DistillConfig
from tasks.errors import ModelError
from tasks.examples import Example, end_token, tokenize
from tasks.records import Record
from tasks.training import ShownSteps, attention, curve, settings


class Lesson(NamedTuple):
    """One example with what the teacher said; nothing said on validation rows."""

    example: Example
    values: Tensor | None  # (a, K)
    tokens: Tensor | None  # (a, K)


def distill(name: str, config: DistillConfig) -> dict[str, Any]:
    """Train `name` from its parent on a teacher's stored logits.

    Returns:
        steps, seconds, teacher forward passes (none) and the learning curve in nats per token.

    Raises:
        ModelError: teacher and student do not share a tokenizer.
    """
    started = time.monotonic()
    parent = paths.candidate(config.parent)
    labels = paths.labels(config.labels)
    stored = logits.read(labels)
    check_tokenizer(stored, parent)
    inputs = [parent, labels, paths.TRAIN, paths.VALIDATION]
    scratch = checkpoints.folder("distill", config, inputs)
    folder = _with_tokenizer(name, config, parent)
    model = _student(config, parent)
    trainable = model.num_parameters(only_trainable=True)
    trainer = _trainer(config, folder, scratch, model, stored)
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(scratch)))
    model.save_pretrained(folder)
    labelling = {f"label/{config.labels}": _seconds(labels)}
    candidate.write(candidate.describe(name, config.parent, config, paths.TRAIN, labelling))
    report = {
        "candidate": name,
        "parent": config.parent,
        "teacher": stored.teacher,
        "teacher_forward_passes": 0,
        "steps": trainer.state.global_step,
        "examples": trainer.state.global_step * config.batch,
        "distinct_examples": len(stored.ids),
        "trainable_parameters": trainable,
        "parameters": model.num_parameters(),
        "seconds": round(time.monotonic() - started, 1),
        "best_validation_loss": trainer.state.best_metric,
        "best_checkpoint": Path(trainer.state.best_model_checkpoint or "").name,
        "curve": curve(trainer.state.log_history),
    }
    checkpoints.discard(scratch)
    return report


def _seconds(labels: Path) -> float:
    """Machine time that the labels took; 0 where they come without a report."""
    file = labels / paths.REPORT
    return float(json.loads(file.read_bytes())["seconds"]) if file.is_file() else 0.0


def check_tokenizer(stored: logits.StoredLogits, student: Path) -> None:
    """Logits mean something only to a model with the same tokens.

    Raises:
        ModelError: the tokenizers differ.
    """
    if candidate.sha256(student / TOKENIZER) != stored.tokenizer:
        raise ModelError(
            f"{student / TOKENIZER} differs from that of the teacher {stored.teacher}: logits "
            "cannot be learned across tokenizers. Choose a student and a teacher that share one."
        )


def mixed_loss(
    scores: Tensor, answers: Tensor, values: Tensor, tokens: Tensor, config: DistillConfig
) -> Tensor:
    """Divergence from the teacher at a temperature, mixed with the answer's cross-entropy.

    Args:
        scores: the student's logits, (A, V).
        answers: the reference tokens, (A,).
        values: the teacher's log-probabilities of its likeliest tokens, (A, K).
        tokens: which tokens those are, (A, K).
        config: temperature and weight; the divergence is scaled by the temperature's square, so
            that the weight means the same at every temperature (Hinton et al. 2015, section 2).
    """
    heat = config.temperature
    teacher = (values / heat).log_softmax(-1)
    student = (scores / heat).log_softmax(-1).gather(-1, tokens)
    divergence = functional.kl_div(student, teacher, reduction="batchmean", log_target=True)
    reference = functional.cross_entropy(scores, answers)
    return config.kl_weight * heat**2 * divergence + (1 - config.kl_weight) * reference


class _Lessons(Dataset[dict[str, Any]]):
    """Lessons as Trainer wants them; input_ids tell it the lengths to group by."""

    def __init__(self, lessons: list[Lesson]) -> None:
        self._lessons = lessons

    def __len__(self) -> int:
        return len(self._lessons)

    def __getitem__(self, index: int) -> dict[str, Any]:
        lesson = self._lessons[index]
        return {"lesson": lesson, "input_ids": [*lesson.example.prompt, *lesson.example.answer]}


class _Collator:
    """Lessons of one batch as tensors."""

    def __init__(self, fill: int) -> None:
        self._fill = fill

    def __call__(self, items: list[dict[str, Any]]) -> dict[str, Tensor]:
        lessons: list[Lesson] = [item["lesson"] for item in items]
        padded = pad([lesson.example for lesson in lessons], self._fill)
        made = padded._asdict()
        values = [lesson.values for lesson in lessons if lesson.values is not None]
        tokens = [lesson.tokens for lesson in lessons if lesson.tokens is not None]
        if values:
            made |= {"values": torch.cat(values), "tokens": torch.cat(tokens)}
        return made


class _DistillTrainer(Trainer):
    """Trainer whose loss is ours: the mix while training, cross-entropy on validation rows."""

    def __init__(self, config: DistillConfig, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._config = config

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        batch = Batch(*(inputs[field] for field in Batch._fields))
        with precision.mixed():
            scores = answer_logits(model, batch)
        if "values" in inputs:
            loss = mixed_loss(
                scores, batch.answers, inputs["values"], inputs["tokens"], self._config
            )
        else:
            loss = functional.cross_entropy(scores, batch.answers)
        return (loss, {"loss": loss}) if return_outputs else loss


def _student(config: DistillConfig, parent: Path) -> PreTrainedModel:
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        parent, dtype=torch.float32, attn_implementation=attention()
    )
    model.get_input_embeddings().requires_grad_(config.train_embeddings)
    model.get_output_embeddings().requires_grad_(config.train_embeddings)
    return model


def _trainer(
    config: DistillConfig,
    folder: Path,
    scratch: Path,
    model: PreTrainedModel,
    stored: logits.StoredLogits,
) -> Trainer:
    wanted = set(stored.ids)
    rows = {r.id: r for r in records.read(paths.TRAIN, Record) if r.id in wanted}
    examples = tokenize([rows[id_] for id_ in stored.ids], folder)
    lessons = [Lesson(*row) for row in zip(examples, stored.values, stored.tokens, strict=True)]
    checked = records.read(paths.VALIDATION, Record)[: config.validation_rows]
    arguments = TrainingArguments(
        **settings(config, scratch), remove_unused_columns=False, label_names=["answers"]
    )
    trainer = _DistillTrainer(
        config,
        model=model,
        args=arguments,
        data_collator=_Collator(end_token(folder)),
        train_dataset=_Lessons(lessons),
        eval_dataset=_Lessons([Lesson(e, None, None) for e in tokenize(checked, folder)]),
        callbacks=[ShownSteps("distill", config.max_steps)],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _with_tokenizer(name: str, config: DistillConfig, parent: Path) -> Path:
    """The student's folder with its tokenizer and chat template, still without weights."""
    folder = candidate.fresh_folder(name)
    candidate.copy_tokenizer(parent, folder)
    shutil.copyfile(parent / "config.json", folder / "config.json")
    if config.chat_template is not None:
        (folder / CHAT_TEMPLATE).write_text(config.chat_template, encoding="utf-8")
    return folder
