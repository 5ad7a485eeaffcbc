"""A student from its first weights to its folder, whatever it learns from.

    run = begin("distill/small", config)
    trainer = fit(config, run, load(config), Lessons(examples, said), gather, loss)
    report = finish("distill/small", config, run, trainer, len(examples), {})

Validation rows pick the checkpoint by the cross-entropy of their references, under every method.
"""

import shutil
import time
from collections.abc import Callable, Sequence
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

from bentos.generator.prompt import CHAT_TEMPLATE
from tasks import candidate, checkpoints, paths, precision, records
from tasks.batches import Batch, answer_logits, pad
from tasks.distill import rounding
from tasks.distill.config import DistillConfig
from tasks.examples import Example, end_token, tokenize
from tasks.records import Record
from tasks.training import OrderedTrainer, ShownSteps, attention, curve, settings

Gather = Callable[[list[Any]], dict[str, Tensor]]
"""Turns what was said to the examples of one batch into tensors."""

Loss = Callable[[Any, Batch, dict[str, Tensor]], Tensor]
"""Of a model on one batch and what `Gather` made of it."""


class Run(NamedTuple):
    """One training: when it began, what it writes and where it goes on from."""

    started: float
    folder: Path
    scratch: Path


class Lessons(Dataset[dict[str, Any]]):
    """Examples with what the teacher said to each; input_ids tell Trainer lengths to group by."""

    def __init__(self, examples: Sequence[Example], said: Sequence[Any]) -> None:
        self._lessons = list(zip(examples, said, strict=True))

    def __len__(self) -> int:
        return len(self._lessons)

    def __getitem__(self, index: int) -> dict[str, Any]:
        example, said = self._lessons[index]
        return {"example": example, "said": said, "input_ids": [*example.prompt, *example.answer]}


def begin(name: str, config: DistillConfig) -> Run:
    """The student's folder with its tokenizer and chat template, still without weights."""
    started = time.monotonic()
    parent = paths.candidate(config.parent)
    inputs = [parent, Path(str(config.reads)), paths.TRAIN, paths.VALIDATION]
    inputs += [paths.UNLABELLED] if config.unlabelled else []
    scratch = checkpoints.folder("distill", config, inputs)
    folder = candidate.fresh_folder(name)
    candidate.copy_tokenizer(parent, folder)
    shutil.copyfile(parent / "config.json", folder / "config.json")
    if config.chat_template is not None:
        (folder / CHAT_TEMPLATE).write_text(config.chat_template, encoding="utf-8")
    return Run(started, folder, scratch)


def load(config: DistillConfig, implementation: str | None = None) -> PreTrainedModel:
    """The parent's weights, the embedding frozen unless it is to be trained.

    Raises:
        ModelError: weights are to be rounded in groups that do not divide a matrix.
    """
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        paths.candidate(config.parent),
        dtype=torch.float32,
        attn_implementation=implementation or attention(),
    )
    model.get_input_embeddings().requires_grad_(config.train_embeddings)
    model.get_output_embeddings().requires_grad_(config.train_embeddings)
    if config.int4_group_size is not None:
        rounding.round_blocks(model, config.int4_group_size)
    return model


def fit(
    config: DistillConfig,
    run: Run,
    model: PreTrainedModel,
    lessons: Lessons,
    gather: Gather,
    loss: Loss,
) -> Trainer:
    """Train `model`, from the last checkpoint where there is one; it ends as the best one."""
    arguments = TrainingArguments(
        **settings(config, run.scratch), remove_unused_columns=False, label_names=["answers"]
    )
    checked = validation(config, run)
    trainer = _StudentTrainer(
        loss,
        model=model,
        args=arguments,
        data_collator=_Collator(end_token(run.folder), gather),
        train_dataset=lessons,
        eval_dataset=Lessons(checked, [None] * len(checked)),
        callbacks=[ShownSteps("distill", config.max_steps)],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(run.scratch)))
    return trainer


def validation(config: DistillConfig, run: Run) -> list[Example]:
    """The rows that pick the checkpoint, as the student reads them."""
    return tokenize(records.read(paths.VALIDATION, Record)[: config.validation_rows], run.folder)


def finish(
    name: str,
    config: DistillConfig,
    run: Run,
    trainer: Trainer,
    distinct: int,
    lessons: dict[str, Path],
) -> dict[str, Any]:
    """Write weights and lineage.

    Returns:
        steps, seconds, sizes, and the learning curve in nats per token.
    """
    model: Any = trainer.model
    rounding.settle(model)
    trainable = model.num_parameters(only_trainable=True)
    model.save_pretrained(run.folder)
    candidate.write(candidate.describe(name, config.parent, config, paths.TRAIN, lessons))
    report = {
        "candidate": name,
        "parent": config.parent,
        "method": config.method,
        "steps": trainer.state.global_step,
        "examples": trainer.state.global_step * config.batch,
        "distinct_examples": distinct,
        "trainable_parameters": trainable,
        "parameters": model.num_parameters(),
        "seconds": round(time.monotonic() - run.started, 1),
        "best_validation_loss": trainer.state.best_metric,
        "best_checkpoint": Path(trainer.state.best_model_checkpoint or "").name,
        "curve": curve(trainer.state.log_history),
    }
    checkpoints.discard(run.scratch)
    return report


def reference_loss(model: Any, batch: Batch) -> Tensor:
    """Cross-entropy of the answers, in nats a token."""
    with precision.mixed():
        scores = answer_logits(model, batch)
    return functional.cross_entropy(scores, batch.answers)


class _Collator:
    """Lessons of one batch as tensors."""

    def __init__(self, fill: int, gather: Gather) -> None:
        self._fill, self._gather = fill, gather

    def __call__(self, items: list[dict[str, Any]]) -> dict[str, Tensor]:
        padded = pad([item["example"] for item in items], self._fill)
        said = [item["said"] for item in items if item["said"] is not None]
        return padded._asdict() | (self._gather(said) if said else {})


class _StudentTrainer(OrderedTrainer):
    """Trainer whose loss is the method's while training, cross-entropy on validation rows."""

    def __init__(self, loss: Loss, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._loss = loss

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        batch = Batch(*(inputs[field] for field in Batch._fields))
        learning = model.training
        loss = self._loss(model, batch, inputs) if learning else reference_loss(model, batch)
        return (loss, {"loss": loss}) if return_outputs else loss
