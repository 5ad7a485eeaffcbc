"""A student that learns on answers of its own."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM
from transformers.models.llama.modeling_llama import LlamaModel

from tasks import paths, records
from tasks.batches import answer_logits, pad
from tasks.distill import on_policy
from tasks.distill.config import DistillConfig
from tasks.errors import ModelError
from tasks.examples import tokenize
from tests.killed import killed_at, losses
from tests.tiny import record, tiny_data, tiny_model

CONFIG = DistillConfig.model_validate(
    {
        "from": "prune/small",
        "method": "on_policy",
        "teacher": "finetune/lora",
        "divergence": "reverse_kl",
        "temperature": 1.0,
        "max_answer_tokens": 4,
        "max_steps": 12,
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
    return tiny_model(paths.candidate("finetune/lora"), layers=2, seed=1)


def own_answers(student: str, teacher: Path) -> float:
    """Mean cross-entropy that the teacher gives to what the student would answer."""
    folder = paths.candidate(student)
    ours, theirs = (AutoModelForCausalLM.from_pretrained(f).eval() for f in (folder, teacher))
    prompts = [e._replace(answer=()) for e in tokenize(map(record, range(16)), folder)]
    found = []
    with torch.inference_mode():
        for prompt in prompts:
            ids = torch.tensor([prompt.prompt])
            made = ours.generate(ids, max_new_tokens=4, do_sample=False)[0, ids.shape[1] :]
            batch = pad([prompt._replace(answer=tuple(made.tolist()))], 0)
            scores = answer_logits(theirs, batch)
            found.append(torch.nn.functional.cross_entropy(scores, batch.answers))
    return float(torch.stack(found).mean())


def test_student_comes_to_answer_as_its_teacher_would_go_on(teacher: Path) -> None:
    report = on_policy.distill("distill/small", CONFIG)
    assert own_answers("distill/small", teacher) < own_answers("prune/small", teacher)
    assert report["teacher_forward_passes"] == report["steps"] == 12
    assert [point for point in report["curve"] if "validation_loss" in point]
    before, after = (
        AutoModelForCausalLM.from_pretrained(paths.candidate(name)).config.to_dict()
        for name in ("prune/small", "distill/small")
    )
    ids = ("bos_token_id", "eos_token_id", "pad_token_id")
    assert [before[key] for key in ids] == [after[key] for key in ids]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """All that the teacher reads."""
    found: list[list[int]] = []
    forward = LlamaModel.forward

    def noted(model: LlamaModel, *args: Any, **kwargs: Any) -> Any:
        if model.config.num_hidden_layers == 2:
            rows = zip(kwargs["input_ids"], kwargs["attention_mask"], strict=True)
            found.extend(ids[mask.bool()].tolist() for ids, mask in rows)
        return forward(model, *args, **kwargs)

    monkeypatch.setattr(LlamaModel, "forward", noted)
    return found


def test_teacher_reads_the_prompt_and_what_the_student_wrote(
    teacher: Path, seen: list[list[int]]
) -> None:
    on_policy.distill("distill/small", CONFIG.model_copy(update={"max_steps": 2}))
    prompts = {example.prompt for example in tokenize(map(record, range(16)), teacher)}
    assert len(seen) == 8
    for ids in seen:
        (prompt,) = [p for p in prompts if tuple(ids[: len(p)]) == p]
        assert 1 <= len(ids) - len(prompt) <= 4


def test_requests_that_nobody_answered_are_practised_too(
    teacher: Path, seen: list[list[int]]
) -> None:
    silent = [record(n).model_copy(update={"reference": ""}) for n in range(100, 106)]
    records.write(paths.UNLABELLED, silent)
    told = {"rows": 3, "unlabelled": 5, "max_steps": 2}
    report = on_policy.distill("distill/small", CONFIG.model_copy(update=told))
    assert (report["distinct_examples"], report["unlabelled_rows"]) == (8, 5)
    asked = tokenize([*map(record, range(3)), *silent[:5]], teacher)
    read = {e.prompt for e in asked for ids in seen if tuple(ids[: len(e.prompt)]) == e.prompt}
    assert read == {e.prompt for e in asked}


def test_training_killed_in_a_later_epoch_goes_on_in_the_same_order(
    teacher: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    undisturbed = on_policy.distill("distill/whole", CONFIG)  # four batches an epoch
    with killed_at(8):
        on_policy.distill("distill/small", CONFIG)
    resumed = on_policy.distill("distill/small", CONFIG)
    assert "resuming at step 6 of 12" in capsys.readouterr().out
    assert losses(resumed) == pytest.approx(losses(undisturbed), rel=1e-5)


def test_a_teacher_with_another_prompt_is_refused(teacher: Path) -> None:
    (teacher / "chat_template.jinja").write_text("{{ messages[-1]['content'] }}")
    with pytest.raises(ModelError, match="reads other prompts than the teacher"):
        on_policy.distill("distill/small", CONFIG)
