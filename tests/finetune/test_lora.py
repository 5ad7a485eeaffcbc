"""LoRA fine-tuning on a tiny model."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from tasks import paths
from tasks.finetune import lora
from tasks.finetune.config import FinetuneConfig
from tests.killed import killed_at, losses
from tests.tiny import tiny_data, tiny_model

CONFIG = FinetuneConfig.model_validate(
    {
        "from": "fetch/base",
        "rank": 4,
        "max_steps": 6,
        "batch": 4,
        "checkpoints": 3,
        "validation_rows": 8,
        "warmup_steps": 0,
        "learning_rate": 0.01,
    }
)

ROOT = Path(__file__).parents[2]
MAKE_ONE = """
from tasks import candidate, paths
from tasks.finetune import lora
from tests.finetune.test_lora import CONFIG

lora.finetune("finetune/lora", CONFIG)
print(candidate.sha256(paths.candidate("finetune/lora")))
"""


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    tiny_data(train=32)
    return tiny_model(paths.candidate("fetch/base"))


def test_merged_weights_and_adapter_are_both_kept_and_load_with_stock_classes(base: Path) -> None:
    report = lora.finetune("finetune/lora", CONFIG)
    folder = paths.candidate("finetune/lora")
    tuned = AutoModelForCausalLM.from_pretrained(folder)
    untuned = AutoModelForCausalLM.from_pretrained(base)
    name = "model.layers.0.mlp.up_proj.weight"
    assert not torch.equal(tuned.state_dict()[name], untuned.state_dict()[name])
    assert (folder / "adapter" / "adapter_model.safetensors").is_file()
    assert json.loads((folder / "candidate.json").read_text())["parent"] == "fetch/base"
    assert report["steps"] == 6
    assert report["trainable_parameters"] > 0
    assert [point for point in report["curve"] if "validation_loss" in point]


def test_a_tuned_folder_is_the_same_whatever_order_python_gives_a_set(base: Path) -> None:
    command = [sys.executable, "-c", MAKE_ONE]
    path = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    hashes = [
        subprocess.run(
            command,
            env={**path, "PYTHONHASHSEED": each},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()[-1]
        for each in ("0", "1")
    ]
    assert hashes[0] == hashes[1]


def test_training_lowers_the_validation_loss(base: Path) -> None:
    report = lora.finetune("finetune/lora", CONFIG)
    losses = [p["validation_loss"] for p in report["curve"] if "validation_loss" in p]
    assert losses[-1] < losses[0]
    assert report["best_validation_loss"] == pytest.approx(min(losses))


def test_killed_training_goes_on_from_its_last_checkpoint(
    base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second attempt starts at the checkpoint of the first and ends like one undisturbed."""
    undisturbed = lora.finetune("finetune/whole", CONFIG)
    method = lora.METHOD

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(lora, "METHOD", method._replace(save=die))
    with pytest.raises(KeyboardInterrupt):
        lora.finetune("finetune/lora", CONFIG)
    monkeypatch.setattr(lora, "METHOD", method)
    resumed = lora.finetune("finetune/lora", CONFIG)
    assert "resuming at step 6 of 6" in capsys.readouterr().out
    assert resumed["best_validation_loss"] == pytest.approx(undisturbed["best_validation_loss"])
    assert not any(paths.scratch("finetune").iterdir())


def test_training_killed_in_a_later_epoch_goes_on_in_the_same_order(
    base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_data(train=10)  # three batches an epoch
    config = CONFIG.model_copy(update={"max_steps": 8, "checkpoints": 2})
    undisturbed = lora.finetune("finetune/whole", config)
    with killed_at(6):
        lora.finetune("finetune/lora", config)
    resumed = lora.finetune("finetune/lora", config)
    assert "resuming at step 4 of 8" in capsys.readouterr().out
    assert losses(resumed) == pytest.approx(losses(undisturbed), rel=1e-5)
