"""Stored logits and the student that learns from them."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from tasks import logits, paths
from tasks.batches import answer_logits, pad
from tasks.distill import cached_logits
from tasks.distill.config import DistillConfig
from tasks.errors import ModelError
from tasks.examples import tokenize
from tasks.label.config import LabelConfig
from tasks.label.top_logits import label
from tests.tiny import record, tiny_data, tiny_model

CONFIG = DistillConfig.model_validate(
    {
        "from": "prune/small",
        "labels": "teacher",
        "max_steps": 8,
        "batch": 4,
        "checkpoints": 2,
        "validation_rows": 8,
        "warmup_steps": 0,
        "learning_rate": 0.01,
    }
)


@pytest.fixture
def teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    tiny_data(train=16)
    tiny_model(paths.candidate("prune/small"), layers=1)
    return tiny_model(paths.candidate("finetune/lora"), layers=2)


def stored(top_k: int) -> Path:
    folder = paths.labels("teacher")
    config = LabelConfig.model_validate({"teacher": "finetune/lora", "rows": 16, "top_k": top_k})
    label(folder, config)
    return folder


def test_stored_logits_are_the_teachers_likeliest_tokens(teacher: Path) -> None:
    kept = logits.read(stored(top_k=5))
    model = AutoModelForCausalLM.from_pretrained(teacher).eval()
    (example,) = tokenize([record(3)], teacher)
    row = kept.ids.index(example.id)
    with torch.inference_mode():
        exact = answer_logits(model, pad([example], 0)).log_softmax(-1)
    # Where the machine has bf16, labels are made with it: near ties may change places.
    chosen = exact.gather(-1, kept.tokens[row])
    assert torch.allclose(kept.values[row], chosen, atol=0.1)
    assert torch.allclose(chosen.sort(descending=True).values, exact.topk(5).values, atol=0.1)


def test_student_learns_with_the_teacher_gone(teacher: Path) -> None:
    """A second student costs no teacher forward pass: there is no teacher to run any more."""
    stored(top_k=8)
    (teacher / "model.safetensors").unlink()
    report = cached_logits.distill("distill/small", CONFIG)
    losses = [p["validation_loss"] for p in report["curve"] if "validation_loss" in p]
    assert losses[-1] < losses[0]
    student = AutoModelForCausalLM.from_pretrained(paths.candidate("distill/small"))
    assert student.config.num_hidden_layers == 1


def test_embeddings_stay_as_they_are_unless_asked_for(teacher: Path) -> None:
    stored(top_k=8)
    cached_logits.distill("distill/small", CONFIG)
    before = AutoModelForCausalLM.from_pretrained(paths.candidate("prune/small"))
    after = AutoModelForCausalLM.from_pretrained(paths.candidate("distill/small"))
    assert torch.equal(before.model.embed_tokens.weight, after.model.embed_tokens.weight)
    name = "model.layers.0.mlp.up_proj.weight"
    assert not torch.equal(before.state_dict()[name], after.state_dict()[name])


def test_another_tokenizer_is_refused_before_training(teacher: Path) -> None:
    stored(top_k=8)
    file = paths.candidate("prune/small") / "tokenizer.json"
    file.write_text(file.read_text().replace('"!"', '"\\u00a7"', 1))
    with pytest.raises(ModelError, match="share one"):
        cached_logits.distill("distill/small", CONFIG)


def test_loss_is_the_cross_entropy_when_the_teacher_has_no_weight() -> None:
    config = CONFIG.model_copy(update={"kl_weight": 0.0})
    scores, answers = torch.randn(3, 10), torch.tensor([1, 2, 3])
    values, tokens = torch.zeros(3, 4), torch.zeros(3, 4, dtype=torch.long)
    loss = cached_logits.mixed_loss(scores, answers, values, tokens, config)
    assert torch.allclose(loss, torch.nn.functional.cross_entropy(scores, answers))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_divergence_vanishes_for_a_student_that_equals_its_teacher(temperature: float) -> None:
    config = CONFIG.model_copy(update={"kl_weight": 1.0, "temperature": temperature})
    scores = torch.randn(3, 10)
    top = scores.log_softmax(-1).topk(10)
    answers = torch.tensor([0, 1, 2])
    loss = cached_logits.mixed_loss(scores, answers, top.values, top.indices, config)
    assert float(loss) == pytest.approx(0, abs=1e-5)


def test_student_with_a_shorter_chat_template_reads_fewer_tokens(teacher: Path) -> None:
    stored(top_k=8)
    template = "{{ messages[-1]['content'] }}<|im_end|>"
    config = CONFIG.model_copy(update={"chat_template": template})
    cached_logits.distill("distill/small", config)
    student = paths.candidate("distill/small")
    assert (student / "chat_template.jinja").read_text() == template
    (short,), (long,) = tokenize([record(3)], student), tokenize([record(3)], teacher)
    assert len(short.prompt) < len(long.prompt)
    assert short.answer == long.answer
