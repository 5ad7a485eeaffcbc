"""Distillation on answers that the student writes: `python -m tasks.distill writer`.

The teacher says at every token of the student's own answer what it would have said there, so that a
student learns to go on from its own mistakes (GKD, Agarwal et al. 2023, arXiv:2306.13649). TRL's
DistillationTrainer draws the answers and computes the divergence in pieces of the vocabulary.
"""

from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback
from transformers.trainer_utils import get_last_checkpoint
from trl import DistillationConfig, DistillationTrainer

from bentos.generator.prompt import TOKENIZER
from tasks import candidate, logits, paths, precision, records
from tasks.batches import Batch, pad
from tasks.distill import student
from tasks.distill.config import DistillConfig
from tasks.errors import ModelError
from tasks.examples import Example, end_token, tokenize
from tasks.records import Record
from tasks.training import OrderedTrainer, ShownSteps, attention, settings


def distill(name: str, config: DistillConfig) -> dict[str, Any]:
    """Train `name` from its parent on its own answers, beside the teacher.

    Returns:
        steps, seconds, unlabelled rows, teacher forward passes and the learning curve.

    Raises:
        ModelError: teacher and student do not share tokenizer and prompts.
    """
    parent, folder = paths.candidate(config.parent), paths.candidate(str(config.teacher))
    logits.check_tokenizer(str(config.teacher), candidate.sha256(folder / TOKENIZER), parent)
    run = student.begin(name, config)
    silent = records.read(paths.UNLABELLED, Record) if config.unlabelled else []
    silent = silent[: config.unlabelled]
    rows = [*records.read(paths.TRAIN, Record)[: config.rows], *silent]
    examples = tokenize(rows, run.folder)
    if examples != tokenize(rows, folder):
        raise ModelError(
            f"{parent} reads other prompts than the teacher {config.teacher}, which is to go on "
            "from them: use method online or cached_logits"
        )
    trainer = _trainer(config, run, examples)
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(run.scratch)))
    report = student.finish(name, config, run, trainer, len(examples), {})
    passes = trainer.state.global_step
    return report | {
        "unlabelled_rows": len(silent),
        "teacher": config.teacher,
        "teacher_forward_passes": passes,
    }


class _OwnAnswers(OrderedTrainer, DistillationTrainer):
    """TRL's trainer on prompts that are tokens already; validated as every student is."""

    def _tokenize_prompts(
        self, prompts: list[list[int]]
    ) -> tuple[list[list[int]], None, dict[str, Any]]:
        return prompts, None, {}

    def prediction_step(
        self,
        model: Any,
        inputs: Any,
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Tensor, None, None]:
        """Cross-entropy of the references."""
        rows = [Example("", tuple(row["prompt"]), tuple(row["answer"])) for row in inputs]
        batch = pad(rows, model.config.pad_token_id)
        with torch.no_grad():
            return student.reference_loss(model, Batch(*map(self._placed, batch))), None, None

    def _placed(self, part: Tensor) -> Tensor:
        return part.to(self.accelerator.device)


def _trainer(config: DistillConfig, run: student.Run, examples: list[Example]) -> _OwnAnswers:
    beta = {"forward_kl": 0.0, "jensen_shannon": config.beta, "reverse_kl": 1.0}
    arguments = DistillationConfig(
        **settings(config, run.scratch)
        | {"bf16": torch.cuda.is_available() and precision.has_bf16()},
        beta=beta[config.divergence],
        temperature=config.temperature,
        max_completion_length=config.max_answer_tokens,
        # The temperature softens what is compared; answers are drawn as they would be given.
        generation_kwargs={"temperature": 1.0},
        gradient_checkpointing=False,
    )
    model = student.load(config)
    tokenizer = AutoTokenizer.from_pretrained(run.folder, padding_side="left")
    tokenizer.pad_token_id = end_token(run.folder)
    # Trainer gives its model the tokenizer's special tokens: it is to keep its own.
    tokenizer.bos_token_id = model.config.bos_token_id
    teacher = AutoModelForCausalLM.from_pretrained(
        paths.candidate(str(config.teacher)),
        dtype=torch.float32,
        attn_implementation=attention(),
    )
    trainer = _OwnAnswers(
        model=model,
        teacher_model=teacher.requires_grad_(False),
        args=arguments,
        train_dataset=_dataset(examples),
        eval_dataset=_dataset(student.validation(config, run)),
        processing_class=tokenizer,
        callbacks=[ShownSteps("distill", config.max_steps)],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _dataset(examples: list[Example]) -> Dataset:
    return Dataset.from_list(
        [{"prompt": list(e.prompt), "answer": list(e.answer)} for e in examples]
    )
