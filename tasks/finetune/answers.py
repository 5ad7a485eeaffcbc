"""What all methods share: a model learns to answer, `tune(name, config, method)`.

The loss counts the answer's tokens only, and the output matrix is applied to just those: scoring
every position of the prompt against the whole vocabulary takes most of a small model's time.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft.helpers import disable_input_dtype_casting
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset
from transformers import (
    AutoModelForCausalLM,
    PrinterCallback,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_utils import get_last_checkpoint

from tasks import candidate, checkpoints, paths, precision, records
from tasks.batches import Batch, answer_logits, pack, pad
from tasks.errors import DataError
from tasks.examples import Example, by_length, end_token, tokenize
from tasks.finetune import replay
from tasks.finetune.config import FinetuneConfig
from tasks.micro_batches import MicroBatches, rows_that_fit
from tasks.records import Record
from tasks.training import OrderedTrainer, ShownSteps, attention, curve, settings


class Method(NamedTuple):
    """What methods differ in.

    Attributes:
        start: a model that is ready to be trained, of the parent's folder.
        save: writes the tuned model into its folder; given config, folder, parent and model.
    """

    start: Callable[[FinetuneConfig, Path], Any]
    save: Callable[[FinetuneConfig, Path, Path, Any], None]


class Data(NamedTuple):
    """Examples to learn from, and to choose the checkpoint by; `general` was kept back."""

    train: list[Example]
    validation: list[Example]
    general: list[Example]
    replayed: int


def tune(name: str, config: FinetuneConfig, method: Method) -> dict[str, Any]:
    """Train `name` from its parent and write its folder, with merged weights.

    Returns:
        steps, seconds, tokens and the learning curve. Losses are in nats per answer token.
    """
    started = time.monotonic()
    parent = paths.candidate(config.parent)
    inputs = [parent, source(config), paths.VALIDATION]
    scratch = checkpoints.folder("finetune", config, inputs)
    data = read(config, parent)
    report: dict[str, Any] = {}
    chosen = config
    if config.search is not None:
        from tasks.finetune import search

        def attempt(trial: FinetuneConfig, folder: Path, callback: TrainerCallback) -> None:
            prepared(trial, method, data, folder, [callback]).run()

        chosen, report["search"] = search.best(config, config.search, scratch, attempt)
    shown = ShownSteps("finetune", config.max_steps)
    trainer = prepared(chosen, method, data, scratch, [shown])
    model: Any = trainer.model
    before = _general_loss(model, data, config) if data.general else None
    trainer.run()
    if data.general:
        report["replay"] = {
            "examples": data.replayed,
            "held_out": len(data.general),
            "loss_before": before,
            "loss_after": _general_loss(model, data, config),
        }
    folder = candidate.fresh_folder(name)
    method.save(chosen, folder, parent, model)
    candidate.copy_tokenizer(parent, folder)
    asked = config.answers
    lessons = {f"ask/{asked}": paths.answers(asked)} if asked else {}
    candidate.write(candidate.describe(name, config.parent, config, source(config), lessons))
    report |= {
        "candidate": name,
        "parent": config.parent,
        "method": config.method,
        "steps": trainer.state.global_step,
        "examples": trainer.state.global_step * config.batch,
        "tokens_per_epoch": sum(example.tokens for example in data.train),
        "trainable_parameters": model.num_parameters(only_trainable=True),
        "rows_at_once": trainer.micro.rows,
        "gradient_checkpointing": trainer.micro.checkpointing,
        "seconds": round(time.monotonic() - started, 1),
        "best_validation_loss": trainer.state.best_metric,
        "best_checkpoint": Path(trainer.state.best_model_checkpoint or "").name,
        "curve": curve(trainer.state.log_history),
    }
    checkpoints.discard(scratch)
    return report


def source(config: FinetuneConfig) -> Path:
    """The rows that are learned."""
    return paths.answers(config.answers) / paths.TRAIN.name if config.answers else paths.TRAIN


def read(config: FinetuneConfig, parent: Path) -> Data:
    """The task's examples, mixed with general ones where the config asks for some.

    Raises:
        DataError: there are too few general ones for their share.
    """
    wanted = config.max_steps * config.batch
    checked = records.read(paths.VALIDATION, Record)[: config.validation_rows]
    validation = tokenize(checked, parent)
    own = records.read(source(config), Record)
    if config.replay is None:
        return Data(tokenize(own[:wanted], parent), validation, [], 0)
    share = config.replay.share
    train = tokenize(own[: max(1, round(wanted * (1 - share)))], parent)
    general = replay.read(config.replay, parent)
    needed = max(1, round(len(train) * share / (1 - share)))
    if len(general.train) < needed:
        raise DataError(
            f"{config.replay.file}: {len(general.train)} conversations are short enough and not "
            f"held out, and replay.share = {share} beside {len(train)} of the task's "
            f"examples needs {needed}: add some or lower replay.share"
        )
    more = general.train[:needed]
    return Data([*train, *more], validation, general.held_out, len(more))


def base(folder: Path) -> Any:
    """The model in a folder, in float32."""
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation=attention()
    )


def prepared(
    config: FinetuneConfig,
    method: Method,
    data: Data,
    scratch: Path,
    callbacks: Sequence[TrainerCallback],
) -> "AnswerTrainer":
    """A trainer whose model says what the parent says, until it runs."""
    set_seed(config.seed)
    model = method.start(config, paths.candidate(config.parent))
    return AnswerTrainer(config, model, data, scratch, callbacks)


class AnswerTrainer(OrderedTrainer):
    """Trainer that scores nothing but the answer's tokens, on one device."""

    def __init__(
        self,
        config: FinetuneConfig,
        model: Any,
        data: Data,
        scratch: Path,
        callbacks: Sequence[TrainerCallback],
    ) -> None:
        """Checkpoints go to `scratch`."""
        collate = _Collator(config)
        super().__init__(
            model=model,
            args=TrainingArguments(
                **settings(config, scratch), remove_unused_columns=False, label_names=["answers"]
            ),
            data_collator=collate,
            train_dataset=_Examples(data.train),
            eval_dataset=_Examples(data.validation),
            callbacks=list(callbacks),
        )
        self.remove_callback(PrinterCallback)
        widest = collate.laid(by_length(data.train, config.batch)[0])
        self.micro = self._micro_batches(config, Batch(**self._prepare_inputs(widest)))

    def run(self) -> None:
        """Train, from the last checkpoint on where there is one."""
        last = get_last_checkpoint(str(self.args.output_dir))
        # Autocast has activations in bf16 already; peft would widen them for its float32 update.
        model: Any = self.model
        with disable_input_dtype_casting(model, active=precision.has_bf16()):
            self.train(resume_from_checkpoint=last)

    def _micro_batches(self, config: FinetuneConfig, widest: Batch) -> MicroBatches:
        rows = config.micro_batch or rows_that_fit(self.model, self._loss, widest)
        return MicroBatches(
            self.model,
            rows=min(max(rows, 1), config.batch),
            checkpointing=config.gradient_checkpointing or rows == 0,
        )

    def training_step(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """One backward pass over the batch, in parts where memory is small."""
        model.train()
        return self.micro.backward(Batch(**self._prepare_inputs(inputs)), self._loss)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Mean cross-entropy of the answers' tokens, in nats."""
        loss = self._loss(Batch(**inputs))
        return (loss, {"loss": loss}) if return_outputs else loss

    def _loss(self, batch: Batch) -> Tensor:
        return answer_loss(self.model, batch)


def answer_loss(model: Any, batch: Batch) -> Tensor:
    """Mean cross-entropy of the answers' tokens, in nats."""
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    with precision.mixed():
        scores = answer_logits(causal, batch)
    return functional.cross_entropy(scores, batch.answers)


class _Examples(Dataset[dict[str, Any]]):
    """Examples as Trainer wants them; input_ids tell it the lengths to group by."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        example = self._examples[index]
        return {"example": example, "input_ids": [*example.prompt, *example.answer]}


class _Collator:
    """Examples of one batch as tensors."""

    def __init__(self, config: FinetuneConfig) -> None:
        self._width = config.packed_tokens
        self._fill = end_token(paths.candidate(config.parent))

    def __call__(self, items: list[dict[str, Any]]) -> dict[str, Tensor]:
        return self.laid([item["example"] for item in items])

    def laid(self, examples: list[Example]) -> dict[str, Tensor]:
        if self._width is None:
            return pad(examples, self._fill)._asdict()
        return pack(examples, self._fill, self._width)._asdict()


@torch.inference_mode()
def _general_loss(model: Any, data: Data, config: FinetuneConfig) -> float:
    """Loss on general conversations that nobody was trained on, in nats per answer token."""
    model.eval()
    fill = end_token(paths.candidate(config.parent))
    total, tokens = 0.0, 0
    for part in by_length(data.general, config.batch):
        batch = pad(part, fill).to(model.device)
        total += float(answer_loss(model, batch)) * len(batch.answers)
        tokens += len(batch.answers)
    return total / tokens
