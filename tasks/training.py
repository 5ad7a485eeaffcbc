"""What both trainings share around transformers' Trainer: progress and the learning curve.

    [{"step": 10, "train_loss": 0.41}, {"step": 60, "validation_loss": 0.22}]
"""

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from tasks.progress import Progress

NAMES = {"loss": "train_loss", "eval_loss": "validation_loss"}


def curve(history: list[dict[str, Any]]) -> list[dict[str, float]]:
    """The learning curve in Trainer's log, losses in nats."""
    return [
        {"step": entry["step"]} | {NAMES[key]: entry[key] for key in NAMES if key in entry}
        for entry in history
        if NAMES.keys() & entry.keys()
    ]


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
