"""Fine-tuning beside TRL's SFTTrainer at its defaults: same weights, examples, update and batch.

    .venv/bin/dvc repro fetch@weights prepare && .venv/bin/python -m benchmarks.finetuning [STEPS]

trains LoRA on the workload's first examples for 50 steps (or STEPS) of 8, by turns: ours, then
SFTTrainer as it comes, then SFTTrainer without gradient checkpointing, which it needs only where
memory is short; three turns each. Timed are the optimizer steps alone, without set-up, evaluation
and saving. All three are given the same learning rate, and afterwards the same validation rows, so
that the losses tell whether they learned the same. Writes benchmarks/results/finetuning.json.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import PrinterCallback, TrainerCallback, TrainerControl, TrainerState
from transformers.training_args import TrainingArguments
from trl import SFTConfig, SFTTrainer

from benchmarks.release import RESULTS
from benchmarks.trl_settings import job
from tasks import paths, records, stage
from tasks.batches import pad
from tasks.errors import StillhouseError
from tasks.evaluation_report import hardware
from tasks.examples import Example, by_length, end_token
from tasks.finetune import adapter
from tasks.finetune.answers import Data, answer_loss, prepared, read
from tasks.finetune.config import FinetuneConfig
from tasks.finetune.lora import METHOD

RESULT = RESULTS / "finetuning.json"
STEPS = 50
TURNS = 3
PARENT = "fetch/base"
SETTINGS = {
    "from": PARENT,
    "batch": 8,
    "learning_rate": 5.0e-4,
    "validation_rows": 64,
    "checkpoints": 1,
}


class Clock(TrainerCallback):
    """Seconds from the first optimizer step's beginning to the last one's end."""

    def __init__(self) -> None:
        self._begun: float | None = None
        self.seconds = 0.0

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Start at the first."""
        self._begun = self._begun or time.perf_counter()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Read at each."""
        self.seconds = time.perf_counter() - (self._begun or 0.0)


Contender = Callable[[FinetuneConfig, Data, Path, Clock], Any]
"""Trains in a scratch folder and returns the model."""


def main(arguments: list[str]) -> None:
    """Measure, print and write; takes at most a number of steps."""
    if len(arguments) > 1 or not all(map(str.isdigit, arguments)):
        raise StillhouseError("usage: python -m benchmarks.finetuning [STEPS]")
    steps = int(arguments[0]) if arguments else STEPS
    config = FinetuneConfig.model_validate(SETTINGS | {"max_steps": steps})
    data = read(config, paths.candidate(PARENT))
    contenders: dict[str, Contender] = {
        "stillhouse": ours,
        "sft_trainer": theirs,
        "sft_trainer_keeping_activations": partial(theirs, gradient_checkpointing=False),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    losses: dict[str, float] = {}
    for turn in range(TURNS):
        for name, contender in contenders.items():
            taken, losses[name] = _turn(contender, config, data)
            seconds[name].append(taken)
            print(f"turn {turn + 1}: {name} {taken:.1f} s, loss {losses[name]:.3f}", flush=True)
    result = summary(seconds, data.train, steps * config.batch) | {
        "steps": steps,
        "batch": config.batch,
        "validation_loss": {name: round(loss, 4) for name, loss in losses.items()},
        "hardware": hardware(),
    }
    records.write_report(RESULT, result)
    print(json.dumps(result, indent=2))


def ours(config: FinetuneConfig, data: Data, scratch: Path, clock: Clock) -> Any:
    """As the stage trains."""
    trainer = prepared(config, METHOD, data, scratch, [clock])
    trainer.run()
    return trainer.model


def theirs(
    config: FinetuneConfig,
    data: Data,
    scratch: Path,
    clock: Clock,
    gradient_checkpointing: bool = True,
) -> Any:
    """SFTTrainer with its defaults, but for what the job is; they include checkpointing."""
    arguments = SFTConfig(
        **job(config, scratch),
        completion_only_loss=True,
        gradient_checkpointing=gradient_checkpointing,
    )
    trainer = SFTTrainer(
        model=str(paths.candidate(config.parent)),
        args=arguments,
        train_dataset=_dataset(data.train),
        peft_config=LoraConfig(
            r=config.rank,
            lora_alpha=config.alpha,
            target_modules=adapter.MODULES,
            task_type="CAUSAL_LM",
        ),
        callbacks=[clock],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return trainer.model


def summary(
    seconds: dict[str, list[float]], train: Sequence[Example], examples: int
) -> dict[str, Any]:
    """Throughput of each, the median of its turns, and how many times ours is theirs."""
    tokens = examples * statistics.fmean(example.tokens for example in train)
    own = seconds["stillhouse"]
    return {
        "throughput": {
            name: {
                "examples_per_second": round(examples / statistics.median(turns), 2),
                "tokens_per_second": round(tokens / statistics.median(turns), 1),
                "seconds": [round(value, 2) for value in turns],
            }
            for name, turns in seconds.items()
        },
        "times_faster": {
            name: {
                "median": round(statistics.median(ratios), 2),
                "least": round(min(ratios), 2),
                "most": round(max(ratios), 2),
            }
            for name, turns in seconds.items()
            if name != "stillhouse"
            for ratios in [[other / mine for other, mine in zip(turns, own, strict=True)]]
        },
    }


def _turn(contender: Contender, config: FinetuneConfig, data: Data) -> tuple[float, float]:
    clock = Clock()
    with tempfile.TemporaryDirectory() as scratch:
        model = contender(config, data, Path(scratch), clock)
    return clock.seconds, _loss(model, data.validation)


@torch.inference_mode()
def _loss(model: Any, validation: list[Example]) -> float:
    """Mean over answer tokens, in nats, measured alike for all."""
    model.eval()
    batches = [pad(p, end_token(paths.candidate(PARENT))) for p in by_length(validation, 16)]
    total = sum(answer_loss(model, batch) * len(batch.answers) for batch in batches)
    return float(total) / sum(len(batch.answers) for batch in batches)


def _dataset(examples: Sequence[Example]) -> Dataset:
    """The very same tokens; SFTTrainer, too, counts the answer's alone."""
    return Dataset.from_dict(
        {
            "input_ids": [[*e.prompt, *e.answer] for e in examples],
            "completion_mask": [[0] * len(e.prompt) + [1] * len(e.answer) for e in examples],
        }
    )


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
