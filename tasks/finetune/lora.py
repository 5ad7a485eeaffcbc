"""LoRA fine-tuning with peft and TRL: `python -m tasks.finetune lora`.

The loss counts the answer's tokens only, and the output matrix is applied to just those. TRL does
so on a GPU; on a CPU it scores every position of the prompt against the whole vocabulary, which
takes most of a small model's time.
"""

import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback
from transformers.trainer_utils import get_last_checkpoint
from trl import SFTConfig, SFTTrainer

from tasks import candidate, checkpoints, paths, precision, records
from tasks.batches import exact_logits
from tasks.examples import Example, tokenize
from tasks.finetune.config import FinetuneConfig
from tasks.records import Record
from tasks.training import ShownSteps, attention, curve, settings

IGNORED = -100
"""Label of a token that does not count."""

ADAPTER = "adapter"
MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


class AnswerTrainer(SFTTrainer):
    """SFTTrainer that scores nothing but the answer's tokens, on one device."""

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Mean cross-entropy of the answers' tokens, in nats."""
        causal = model.get_base_model()
        with precision.mixed():
            hidden = causal.model(
                input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]
            ).last_hidden_state[:, :-1]  # (B, T - 1, H)
        wanted = inputs["labels"][:, 1:]  # (B, T - 1)
        asked = wanted != IGNORED
        logits = exact_logits(causal, hidden[asked])  # (A, V)
        loss = functional.cross_entropy(logits, wanted[asked])
        return (loss, {"loss": loss}) if return_outputs else loss


def finetune(name: str, config: FinetuneConfig) -> dict[str, Any]:
    """Train `name` from its parent; keeps merged weights and, in adapter/, the update alone.

    Returns:
        steps, seconds, tokens and the learning curve. Losses are in nats per answer token.
    """
    started = time.monotonic()
    parent = paths.candidate(config.parent)
    scratch = checkpoints.folder("finetune", config, [parent, paths.TRAIN, paths.VALIDATION])
    wanted = config.max_steps * config.batch
    train = tokenize(records.read(paths.TRAIN, Record)[:wanted], parent)
    validation = tokenize(records.read(paths.VALIDATION, Record)[: config.validation_rows], parent)
    trainer = _trainer(config, parent, scratch, train, validation)
    model: Any = trainer.model
    trainable = model.num_parameters(only_trainable=True)
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(scratch)))
    _save(name, config, parent, model)
    report = {
        "candidate": name,
        "parent": config.parent,
        "steps": trainer.state.global_step,
        "examples": trainer.state.global_step * config.batch,
        "tokens_per_epoch": sum(example.tokens for example in train),
        "trainable_parameters": trainable,
        "seconds": round(time.monotonic() - started, 1),
        "best_validation_loss": trainer.state.best_metric,
        "best_checkpoint": Path(trainer.state.best_model_checkpoint or "").name,
        "curve": curve(trainer.state.log_history),
    }
    checkpoints.discard(scratch)
    return report


def _trainer(
    config: FinetuneConfig,
    parent: Path,
    scratch: Path,
    train: list[Example],
    validation: list[Example],
) -> AnswerTrainer:
    arguments = SFTConfig(
        **settings(config, scratch),
        completion_only_loss=True,
        max_length=None,
        gradient_checkpointing=False,
    )
    model = _base(parent)
    if precision.has_bf16():
        # Frozen weights would be rounded in every pass, which costs what bf16 gains.
        model.model.layers.to(torch.bfloat16)
    trainer = AnswerTrainer(
        model=model,
        args=arguments,
        train_dataset=_dataset(train),
        eval_dataset=_dataset(validation),
        processing_class=AutoTokenizer.from_pretrained(parent),
        peft_config=LoraConfig(
            r=config.rank,
            lora_alpha=config.alpha,
            lora_dropout=config.dropout,
            target_modules=MODULES,
            task_type="CAUSAL_LM",
        ),
        callbacks=[ShownSteps("finetune", config.max_steps)],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _base(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation=attention()
    )


def _dataset(examples: list[Example]) -> Dataset:
    return Dataset.from_dict(
        {
            "input_ids": [[*e.prompt, *e.answer] for e in examples],
            "completion_mask": [[0] * len(e.prompt) + [1] * len(e.answer) for e in examples],
        }
    )


def _save(name: str, config: FinetuneConfig, parent: Path, model: Any) -> None:
    folder = candidate.fresh_folder(name)
    model.save_pretrained(folder / ADAPTER)
    # Into the weights as they were, not as training rounded them.
    tuned: Any = PeftModel.from_pretrained(_base(parent), folder / ADAPTER)
    tuned.merge_and_unload().save_pretrained(folder)
    candidate.copy_tokenizer(parent, folder)
    candidate.write(candidate.describe(name, config.parent, config, paths.TRAIN))
