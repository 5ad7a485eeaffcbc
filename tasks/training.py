"""What both trainings share around transformers' Trainer: order, progress and the learning curve.

[{"step": 10, "train_loss": 0.41}, {"step": 60, "validation_loss": 0.22}]
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Sampler
from transformers import (
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from tasks.config import TrainingConfig
from tasks.progress import Progress

NAMES = {"loss": "train_loss", "eval_loss": "validation_loss"}


def settings(config: TrainingConfig, scratch: Path) -> dict[str, Any]:
    """Trainer's arguments: a checkpoint every so often in `scratch`, the best one kept."""
    return {
        "output_dir": str(scratch),
        "max_steps": config.max_steps,
        "per_device_train_batch_size": config.batch,
        "per_device_eval_batch_size": config.batch,
        "learning_rate": config.learning_rate,
        "warmup_steps": min(config.warmup_steps, config.max_steps - 1),
        "lr_scheduler_type": "cosine",
        "train_sampling_strategy": "group_by_length",
        "eval_strategy": "steps",
        "eval_steps": config.checkpoint_steps,
        "save_strategy": "steps",
        "save_steps": config.checkpoint_steps,
        "save_total_limit": 2,
        "load_best_model_at_end": True,
        "metric_for_best_model": "eval_loss",
        "greater_is_better": False,
        "prediction_loss_only": True,
        "logging_steps": max(1, config.max_steps // 40),
        # Trainer's own would cover model.forward; the losses here call what is inside it.
        "bf16": False,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "report_to": "none",
        "disable_tqdm": True,
        "seed": config.seed,
    }


def attention() -> str:
    """The fused attention on a GPU; on a processor its backward pass is slower than plain code."""
    return "sdpa" if torch.cuda.is_available() else "eager"


def curve(history: list[dict[str, Any]]) -> list[dict[str, float]]:
    """The learning curve in Trainer's log, losses in nats."""
    return [
        {"step": entry["step"]} | {NAMES[key]: entry[key] for key in NAMES if key in entry}
        for entry in history
        if NAMES.keys() & entry.keys()
    ]


class OrderedTrainer(Trainer):
    """Trainer that has the data in one order, whether or not it was killed on the way."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return EpochOrder(super()._get_train_sampler(train_dataset), self.args.seed)


class EpochOrder(Sampler[int]):
    """A sampler's order, which in each epoch depends on nothing but seed and epoch.

    Samplers draw on from where the epoch before left their generator. A resumed training begins
    with a later epoch: it would skip rows of another order than that in which they were learned.
    """

    def __init__(self, sampler: Any, seed: int) -> None:
        """`sampler` draws from its `generator`, which is replaced."""
        self._sampler, self._seed, self._epoch = sampler, seed, 0
        sampler.generator = self._generator = torch.Generator()

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader before each epoch."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        self._generator.manual_seed(self._seed + self._epoch)
        return iter(self._sampler)

    def __len__(self) -> int:
        return len(self._sampler)


class ShownSteps(TrainerCallback):
    """Shows each optimizer step as progress."""

    def __init__(self, label: str, steps: int) -> None:
        self._label, self._steps = label, steps
        self._progress: Progress | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Count what an earlier, interrupted training has done."""
        self._progress = Progress(self._label, self._steps)
        if state.global_step:
            print(f"resuming at step {state.global_step} of {self._steps}", flush=True)
            self._progress.advance(state.global_step)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Count one step."""
        losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
        if self._progress is not None:
            self._progress.advance(1, f"loss {float(losses[-1]):.3f}" if losses else "")
