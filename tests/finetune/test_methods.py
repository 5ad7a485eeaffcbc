"""Every method trains, and what it writes needs nothing of ours to be loaded."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from transformers import AutoModelForCausalLM

from tasks import candidate, paths, records
from tasks.batches import answer_logits, pad
from tasks.errors import ConfigError
from tasks.examples import end_token, tokenize
from tasks.finetune import answers, full, lora, qlora
from tasks.finetune.config import FinetuneConfig
from tests.tiny import record, tiny_data, tiny_model

SETTINGS: dict[str, Any] = {
    "from": "fetch/base",
    "rank": 4,
    "max_steps": 6,
    "batch": 4,
    "checkpoints": 2,
    "validation_rows": 8,
    "warmup_steps": 0,
    "learning_rate": 0.01,
}
KINDS = {
    "lora": {},
    "rslora": {"rslora": True},
    "dora": {"dora": True},
    "full": {"method": "full"},
    "packed": {"packed_tokens": 96},
    "in parts": {"micro_batch": 1},
    "checkpointed": {"gradient_checkpointing": True},
}


def config(**changes: Any) -> FinetuneConfig:
    return FinetuneConfig.model_validate(SETTINGS | changes)


def tuned(changes: dict[str, Any]) -> dict[str, Any]:
    technique = full if changes.get("method") == "full" else lora
    return technique.finetune("finetune/tuned", config(**changes))


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    tiny_data(train=32)
    return tiny_model(paths.candidate("fetch/base"), layers=2)


@pytest.mark.parametrize("kind", KINDS)
def test_loss_falls_and_the_output_loads_with_stock_classes(base: Path, kind: str) -> None:
    report = tuned(KINDS[kind])
    losses = [p["validation_loss"] for p in report["curve"] if "validation_loss" in p]
    assert losses[-1] < losses[0]
    folder = paths.candidate("finetune/tuned")
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    examples = tokenize([record(number) for number in range(32, 40)], folder)
    batch = pad(examples, end_token(folder))
    with torch.inference_mode():
        scores = answer_logits(model, batch)
    # Merged weights say what the trained model said.
    loss = torch.nn.functional.cross_entropy(scores, batch.answers).item()
    assert loss == pytest.approx(report["best_validation_loss"], abs=0.05)
    parent = json.loads((folder / "candidate.json").read_text())["parent"]
    assert (parent, report["gradient_checkpointing"]) == ("fetch/base", kind == "checkpointed")
    assert report["rows_at_once"] == (1 if kind == "in parts" else 4)


def test_answers_from_elsewhere_are_learned_in_place_of_references(base: Path) -> None:
    told = [record(n).model_copy(update={"reference": "negative"}) for n in range(16)]
    folder = paths.answers("large")
    records.write(folder / "train.jsonl", told)
    records.write_report(folder / "report.json", {"seconds": 3.5, "price": 0.25})
    paths.TRAIN.unlink()
    tuned({"answers": "large"})
    model = AutoModelForCausalLM.from_pretrained(paths.candidate("finetune/tuned")).eval()
    examples = tokenize([record(number) for number in range(32, 40)], base)
    negative = tokenize(told[:1], base)[0].answer[0]
    with torch.inference_mode():
        said = [int(model(torch.tensor([e.prompt])).logits[0, -1].argmax()) for e in examples]
    assert set(said) == {negative}
    assert candidate.spent(paths.candidate("finetune/tuned")).paid == {"ask/large": 0.25}


def test_full_fine_tuning_trains_every_weight(base: Path) -> None:
    report = tuned({"method": "full"})
    assert (
        report["trainable_parameters"]
        == AutoModelForCausalLM.from_pretrained(base).num_parameters()
    )
    assert not (paths.candidate("finetune/tuned") / "adapter").exists()


def test_updates_of_all_kinds_differ(base: Path) -> None:
    found = {
        kind: tuned(KINDS[kind])["best_validation_loss"] for kind in ("lora", "rslora", "dora")
    }
    assert len(set(found.values())) == 3


@pytest.mark.parametrize("kind", ["packed", "in parts", "checkpointed"])
def test_what_memory_asks_for_changes_no_result(base: Path, kind: str) -> None:
    plain, other = tuned({}), tuned(KINDS[kind])
    for one, two in zip(plain["curve"], other["curve"], strict=True):
        assert one == pytest.approx(two, abs=0.02)  # bf16, where the processor has it


def test_qlora_without_what_it_needs_tells_what_to_do(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = config(method="qlora")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"finetune\.tuned\.method = qlora: .*or choose lora"):
        qlora.finetune("finetune/tuned", asked)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(qlora, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"pip install -e \.\[gpu\]"):
        qlora.finetune("finetune/tuned", asked)


@pytest.mark.gpu
def test_qlora_trains(base: Path) -> None:
    pytest.importorskip("bitsandbytes")
    report = qlora.finetune("finetune/tuned", config(method="qlora"))
    losses = [p["validation_loss"] for p in report["curve"] if "validation_loss" in p]
    assert losses[-1] < losses[0]
    AutoModelForCausalLM.from_pretrained(paths.candidate("finetune/tuned"))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"method": "full", "dora": True}, "not with method full"),
        ({"method": "full", "search": {"ranks": [4], "steps": 2}}, "has no rank"),
        ({"search": {"steps": 2}}, "give learning_rate"),
        ({"search": {"learning_rate": [0.01, 0.001], "steps": 2}}, "ascending"),
        ({"search": {"ranks": [4, 4], "steps": 2}}, "differ from each other"),
        ({"replay": {"file": "x", "share": 1.0}}, "less than 1"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValidationError, match=told):
        config(**changes)


def test_memory_for_no_row_at_all_turns_checkpointing_on(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "rows_that_fit", lambda *_: 0)
    report = tuned({})
    assert (report["rows_at_once"], report["gradient_checkpointing"]) == (1, True)
