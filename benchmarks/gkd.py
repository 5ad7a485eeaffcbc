"""TRL's own distillation beside its teacher, on the data's answers: what ours is measured against.

    seconds = train(config, examples, teacher, scratch, gradient_checkpointing=False)

GKDTrainer (Agarwal et al. 2023, arXiv:2306.13649) with its defaults but for what the job is: it
draws no answers of its own (lmbda 0) and learns the divergence that the stage learns.
"""

import time
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import AutoTokenizer, DataCollatorForSeq2Seq, PrinterCallback
from trl.experimental.gkd import GKDConfig, GKDTrainer

from benchmarks.trl_settings import job
from tasks import paths
from tasks.distill.config import DistillConfig
from tasks.examples import Example, end_token

BETA = {"forward_kl": 0.0, "jensen_shannon": 0.5, "reverse_kl": 1.0}
IGNORED = -100
"""Label of a token that is not learned."""


def train(
    config: DistillConfig,
    examples: list[Example],
    teacher: str,
    scratch: Path,
    gradient_checkpointing: bool = True,
) -> float:
    """Train the parent's weights; seconds from when both models are loaded until it is trained."""
    folder = paths.candidate(config.parent)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token_id = end_token(folder)
    trainer = GKDTrainer(
        model=str(folder),
        teacher_model=str(paths.candidate(teacher)),
        args=GKDConfig(
            **job(config, scratch),
            temperature=config.temperature,
            beta=BETA[config.divergence],
            lmbda=0.0,
            gradient_checkpointing=gradient_checkpointing,
        ),
        data_collator=DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=IGNORED),
        train_dataset=_dataset(examples),
        processing_class=tokenizer,
    )
    trainer.remove_callback(PrinterCallback)
    started = time.perf_counter()
    trainer.train()
    return time.perf_counter() - started


def _dataset(examples: list[Example]) -> Dataset:
    return Dataset.from_list(
        [
            {
                "input_ids": [*e.prompt, *e.answer],
                "attention_mask": [1] * e.tokens,
                "labels": [IGNORED] * len(e.prompt) + list(e.answer),
            }
            for e in examples
        ]
    )
