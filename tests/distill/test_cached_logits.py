"""Stored logits and the student that learns from them."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM
from transformers.models.llama.modeling_llama import LlamaModel

from tasks import logits, paths, records
from tasks.batches import answer_logits, pad
from tasks.distill import cached_logits
from tasks.distill.config import DistillConfig
from tasks.errors import ModelError
from tasks.examples import tokenize
from tasks.label.config import LabelConfig
from tasks.label.top_logits import label
from tasks.records import Record
from tests.tiny import LABELS, TASK, record, tiny_data, tiny_model

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
    label(folder, config, TASK)
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


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"rest": "one_token"},
        {"rest": "one_token", "divergence": "reverse_kl"},
        {"rest": "one_token", "divergence": "jensen_shannon", "beta": 0.3},
    ],
)
def test_every_divergence_makes_a_student_like_its_teacher(
    teacher: Path, told: dict[str, object]
) -> None:
    """Without any weight on the references: only the teacher can have taught it."""
    stored(top_k=8)
    config = CONFIG.model_copy(update={"kl_weight": 1.0, **told})
    cached_logits.distill("distill/small", config)
    assert distance(teacher, "distill/small") < distance(teacher, "prune/small")


def distance(teacher: Path, student: str) -> float:
    """Mean total variation between the answers of both."""
    examples = tokenize(map(record, range(16)), teacher)
    batch = pad(examples, 0)
    with torch.inference_mode():
        told, found = (
            answer_logits(AutoModelForCausalLM.from_pretrained(folder).eval(), batch).softmax(-1)
            for folder in (teacher, paths.candidate(student))
        )
    return float((told - found).abs().sum(-1).mean() / 2)


def test_second_student_from_the_same_cache_costs_no_teacher_forward_pass(
    teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted in the model itself: the teacher is the only one with two blocks."""
    passes = Counter[int]()
    forward = LlamaModel.forward

    def counted(model: LlamaModel, *args: Any, **kwargs: Any) -> Any:
        passes[model.config.num_hidden_layers] += 1
        return forward(model, *args, **kwargs)

    monkeypatch.setattr(LlamaModel, "forward", counted)
    stored(top_k=8)
    labelling = passes.pop(2)
    assert labelling > 0
    tiny_model(paths.candidate("prune/other"), layers=3)
    cached_logits.distill("distill/small", CONFIG)
    cached_logits.distill("distill/second", CONFIG.model_copy(update={"parent": "prune/other"}))
    assert passes[1] > 0
    assert passes[3] > 0
    assert passes[2] == 0


def test_a_distilled_student_teaches_the_next(teacher: Path) -> None:
    """Teacher assistants (Mirzadeh et al. 2019, arXiv:1902.03393): labels from any candidate."""
    stored(top_k=8)
    tiny_model(paths.candidate("prune/middle"), layers=2, seed=1)
    cached_logits.distill("distill/assistant", CONFIG.model_copy(update={"parent": "prune/middle"}))
    told = LabelConfig.model_validate({"teacher": "distill/assistant", "rows": 16, "top_k": 8})
    label(paths.labels("assistant"), told, TASK)
    last = CONFIG.model_copy(update={"labels": "assistant", "reads": "data/labels/assistant"})
    report = cached_logits.distill("distill/small", last)
    assert report["teacher"] == "distill/assistant"
    assert distance(teacher, "distill/small") < distance(teacher, "prune/small")


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


def likeliest_labels(folder: Path, rows: list[Record]) -> list[str]:
    """The label whose first token the model finds likelier."""
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    found = []
    for row in rows:
        (example,) = tokenize([row], folder)
        with torch.inference_mode():
            scores = model(torch.tensor([example.prompt])).logits[0, -1]
        answers = [row.model_copy(update={"reference": label}) for label in LABELS]
        tokens = [example.answer[0] for example in tokenize(answers, folder)]
        found.append(LABELS[int(scores[tokens].argmax())])
    return found


def test_a_student_learns_requests_that_only_its_teacher_answered(teacher: Path) -> None:
    silent = [record(n).model_copy(update={"reference": ""}) for n in range(100, 106)]
    records.write(paths.UNLABELLED, silent)
    told = {"teacher": "finetune/lora", "rows": 16, "unlabelled": 5, "top_k": 8}
    folder = paths.labels("teacher")
    report = label(folder, LabelConfig.model_validate(told), TASK)
    assert (report["rows"], report["unlabelled_rows"]) == (21, 5)
    own = records.read(folder / "unlabelled.jsonl", Record)
    assert [row.id for row in own] == [row.id for row in silent[:5]]
    assert [row.reference for row in own] == likeliest_labels(teacher, own)
    (teacher / "model.safetensors").unlink()
    assert cached_logits.distill("distill/small", CONFIG)["distinct_examples"] == 21
