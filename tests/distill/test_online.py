"""A teacher beside its student, and what happens inside both."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from tasks import paths, records
from tasks.batches import pad
from tasks.distill import cached_logits, on_policy, online, student
from tasks.distill.config import DistillConfig
from tasks.errors import ModelError
from tasks.examples import tokenize
from tasks.label.config import LabelConfig
from tasks.label.top_logits import label
from tests.killed import killed_at, losses
from tests.tiny import TASK, record, tiny_data, tiny_model

COMMON = {
    "from": "prune/small",
    "max_steps": 8,
    "batch": 4,
    "checkpoints": 2,
    "validation_rows": 8,
    "warmup_steps": 0,
    "learning_rate": 0.01,
}
CONFIG = DistillConfig.model_validate(COMMON | {"method": "online", "teacher": "finetune/lora"})


@pytest.fixture
def teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    tiny_data(train=16)
    tiny_model(paths.candidate("prune/small"), layers=2)
    return tiny_model(paths.candidate("finetune/lora"), layers=4, seed=1)


def weights(name: str) -> dict[str, torch.Tensor]:
    return AutoModelForCausalLM.from_pretrained(paths.candidate(name)).state_dict()


def test_online_is_what_stored_logits_of_every_token_are(teacher: Path) -> None:
    vocabulary = AutoModelForCausalLM.from_pretrained(teacher).config.vocab_size
    told = {"teacher": "finetune/lora", "rows": 16, "top_k": vocabulary}
    label(paths.labels("all"), LabelConfig.model_validate(told), TASK)
    cached = DistillConfig.model_validate(COMMON | {"labels": "all"})
    first = cached_logits.distill("distill/cached", cached)
    second = online.distill("distill/online", CONFIG)
    assert second["best_validation_loss"] == pytest.approx(first["best_validation_loss"], rel=0.02)
    assert first["teacher_forward_passes"] == 0
    assert second["teacher_forward_passes"] == 8


@pytest.mark.parametrize("inside", [{"hidden_weight": 1.0}, {"attention_weight": 1.0}])
def test_matching_what_is_inside_brings_it_nearer(teacher: Path, inside: dict[str, float]) -> None:
    alone = CONFIG.model_copy(update={"kl_weight": 0.0})
    matched = alone.model_copy(update=inside)
    online.distill("distill/alone", alone)
    report = online.distill("distill/matched", matched)
    assert report["matched_blocks"] == [1, 3]
    assert apart(teacher, "distill/matched", matched) < apart(teacher, "distill/alone", matched)


def apart(teacher: Path, name: str, config: DistillConfig) -> float:
    batch = pad(tokenize(map(record, range(16)), teacher), 0)
    ours, theirs = (
        AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
        for folder in (paths.candidate(name), teacher)
    )
    online._project(ours, theirs, 2, seed=0)
    bare = config.model_copy(update={"kl_weight": 0.0})
    with torch.inference_mode():
        seen = [online._seen(model, batch, bare) for model in (ours, theirs)]
        whole = online.online_loss(ours, *seen, batch, [1, 3], bare)
        none = bare.model_copy(update={"hidden_weight": 0.0, "attention_weight": 0.0})
        return float(whole - online.online_loss(ours, *seen, batch, [1, 3], none))


def narrow(folder: Path) -> None:
    """Half as wide, with fewer heads."""
    told = LlamaConfig.from_pretrained(folder)
    told.hidden_size, told.num_attention_heads, told.num_key_value_heads = 16, 2, 1
    told.head_dim = 8
    LlamaForCausalLM(told).save_pretrained(folder)


def test_narrower_student_is_projected_while_it_learns_and_saved_without(teacher: Path) -> None:
    narrow(paths.candidate("prune/small"))
    config = CONFIG.model_copy(update={"hidden_weight": 1.0, "attention_weight": 0.5})
    report = online.distill("distill/small", config)
    losses = [p["train_loss"] for p in report["curve"] if "train_loss" in p]
    assert losses[-1] < losses[0]
    assert not [name for name in weights("distill/small") if online.PROJECTIONS in name]
    assert weights("distill/small")["model.norm.weight"].shape == (16,)


def test_killed_training_goes_on_with_its_projections(
    teacher: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    narrow(paths.candidate("prune/small"))
    config = CONFIG.model_copy(update={"hidden_weight": 1.0})
    undisturbed = online.distill("distill/whole", config)
    finish = student.finish

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(student, "finish", die)
    with pytest.raises(KeyboardInterrupt):
        online.distill("distill/small", config)
    monkeypatch.setattr(student, "finish", finish)
    resumed = online.distill("distill/small", config)
    assert "resuming at step 8 of 8" in capsys.readouterr().out
    assert resumed["best_validation_loss"] == pytest.approx(undisturbed["best_validation_loss"])
    before, after = weights("distill/whole"), weights("distill/small")
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(paths.scratch("distill").iterdir())


def test_training_killed_in_a_later_epoch_goes_on_in_the_same_order(
    teacher: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = CONFIG.model_copy(update={"rows": 10})  # three batches an epoch
    undisturbed = online.distill("distill/whole", config)
    with killed_at(6):
        online.distill("distill/small", config)
    resumed = online.distill("distill/small", config)
    assert "resuming at step 4 of 8" in capsys.readouterr().out
    assert losses(resumed) == pytest.approx(losses(undisturbed), rel=1e-5)


def test_blocks_are_matched_with_those_that_they_were_cut_from(teacher: Path) -> None:
    two, four = blocks(2), blocks(4)
    assert online.layer_map(CONFIG, two, four) == [1, 3]
    made("prune/small", "finetune/lora", kept_blocks=[0, 3])
    assert online.layer_map(CONFIG, two, four) == [0, 3]
    made("prune/small", "finetune/lora", kept_blocks=[0, 2])
    assert online.layer_map(CONFIG, two, four) == [0, 3]
    made("prune/small", "finetune/lora", method="vocabulary")
    assert online.layer_map(CONFIG, four, four) == [0, 1, 2, 3]


def test_blocks_of_a_student_cut_twice_are_matched_with_those_of_its_first_teacher(
    teacher: Path,
) -> None:
    made("prune/less", "finetune/lora", kept_blocks=[0, 3, 5, 7])
    made("distill/less", "prune/less")
    made("prune/small", "distill/less", kept_blocks=[0, 2, 3])
    assert online.layer_map(CONFIG, blocks(3), blocks(8)) == [0, 5, 7]
    nearer = CONFIG.model_copy(update={"teacher": "distill/less"})
    assert online.layer_map(nearer, blocks(3), blocks(4)) == [0, 2, 3]


def test_blocks_are_matched_where_the_teacher_was_tuned_from_what_the_student_was_cut_from(
    teacher: Path,
) -> None:
    made("prune/small", "fetch/base", kept_blocks=[0, 1, 7])
    made("finetune/lora", "fetch/base")
    assert online.layer_map(CONFIG, blocks(3), blocks(8)) == [0, 1, 7]


def test_blocks_are_spread_evenly_where_the_student_was_not_cut_from_its_teacher(
    teacher: Path,
) -> None:
    made("prune/small", "fetch/other", kept_blocks=[0, 1, 7])
    assert online.layer_map(CONFIG, blocks(3), blocks(8)) == [2, 4, 7]
    made("prune/small", "fetch/base", kept_blocks=[0, 1, 7])
    made("finetune/lora", "fetch/base", kept_blocks=[0, 2, 4, 7])
    assert online.layer_map(CONFIG, blocks(3), blocks(4)) == [0, 2, 3]


def blocks(count: int) -> LlamaForCausalLM:
    return AutoModelForCausalLM.from_pretrained(tiny_model(Path(f"of-{count}"), layers=count))


def made(name: str, parent: str, **told: Any) -> None:
    file = paths.candidate(name) / paths.REPORT
    records.write_report(file, {"candidate": name, "parent": parent} | told)


def test_a_model_is_at_no_distance_from_itself(teacher: Path) -> None:
    batch = pad(tokenize(map(record, range(5)), teacher), 0)
    model = AutoModelForCausalLM.from_pretrained(teacher, attn_implementation="eager").eval()
    asked = CONFIG.model_copy(update={"hidden_weight": 1.0, "attention_weight": 1.0})
    with torch.inference_mode():
        seen = online._seen(model, batch, asked)
        online._project(model, model, 4, seed=0)
        with_all = online.online_loss(model, seen, seen, batch, [0, 1, 2, 3], asked)
        mix = online.online_loss(model, seen, seen, batch, [], CONFIG)
    assert float(with_all) == pytest.approx(float(mix), abs=1e-5)


def test_states_a_thousand_times_longer_weigh_no_more() -> None:
    theirs = torch.randn(4, 8)
    ours = theirs * 1.1
    scaled = torch.tensor([1000.0, 1, 1, 1])[:, None]
    assert float(online.hidden_distance(ours, theirs)) == pytest.approx(0.01, rel=1e-3)
    assert float(online.hidden_distance(ours * scaled, theirs * scaled)) == pytest.approx(
        0.01, rel=1e-3
    )


def test_padding_takes_no_part_in_attention() -> None:
    ours, theirs = (torch.randn(2, 3, 5, 5).softmax(-1) for _ in range(2))
    real = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]).bool()
    found = online.attention_divergence(ours, theirs, real)
    changed = ours.clone()
    changed[0, :, 3:] = 0.2
    assert torch.equal(found, online.attention_divergence(changed, theirs, real))
    expected = torch.xlogy(theirs, theirs / ours).sum(-1).transpose(1, 2)[real].mean()
    assert float(found) == pytest.approx(float(expected), rel=1e-4)


def test_other_prompts_than_the_teachers_are_refused_for_matching(teacher: Path) -> None:
    template = paths.candidate("prune/small") / "chat_template.jinja"
    template.write_text("{{ messages[-1]['content'] }}")
    with pytest.raises(ModelError, match="reads other prompts than the teacher finetune/lora"):
        online.distill("distill/small", CONFIG.model_copy(update={"hidden_weight": 1.0}))


@pytest.mark.parametrize("method", ["online", "on_policy"])
def test_another_tokenizer_is_found_before_the_teacher_runs_and_text_is_offered(
    teacher: Path, method: str
) -> None:
    distill: Any = {"online": online.distill, "on_policy": on_policy.distill}[method]
    (teacher / "model.safetensors").unlink()
    file = teacher / "tokenizer.json"
    file.write_text(file.read_text().replace('"!"', '"\\u00a7"', 1))
    with pytest.raises(ModelError, match="share one, or learn the teacher's answers as text"):
        distill("distill/small", CONFIG.model_copy(update={"method": method}))


def test_labels_for_students_of_another_tokenizer_are_refused_before_the_teacher_runs(
    teacher: Path,
) -> None:
    tiny_model(paths.candidate("fetch/other"))
    file = paths.candidate("fetch/other") / "tokenizer.json"
    file.write_text(file.read_text().replace('"!"', '"\\u00a7"', 1))
    (teacher / "model.safetensors").unlink()
    told = {"teacher": "finetune/lora", "rows": 4, "spelt_by": "fetch/other"}
    with pytest.raises(ModelError, match="learn the teacher's answers as text"):
        label(paths.labels("all"), LabelConfig.model_validate(told), TASK)
