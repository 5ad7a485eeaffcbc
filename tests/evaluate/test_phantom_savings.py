"""Savings that are none, measured with real engines: the ledger rejects them."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from tasks import paths
from tasks.candidates_table import Evaluation
from tasks.config import Task
from tasks.evaluate import served
from tasks.evaluate.config import EntryConfig
from tasks.gate import savings
from tasks.gate.config import GateConfig
from tasks.measure import MeasureConfig
from tests.tiny import LABELS, tiny_data, tiny_model

TASK = Task.model_validate(
    {
        "kind": "classification",
        "labels": LABELS,
        "input_fields": ["text"],
        "prompt": {"user": "{text}"},
    }
)
MEASURE = MeasureConfig(price_per_hour=0.36, repeats=3, seconds=0.3, concurrency=4)
CONFIG = GateConfig(teacher="teacher", margin=0.03, max_cost_ratio=0.5)


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_data(validation=12)


def measured(name: str) -> Evaluation:
    entry = EntryConfig(candidate=f"prune/{name}", engine="transformers")
    _, report = served.evaluate(name, entry, MEASURE, TASK)
    return Evaluation.model_validate(report)


def test_masked_weights_are_not_cheaper() -> None:
    teacher = tiny_model(paths.candidate("prune/teacher"), layers=6)
    model = AutoModelForCausalLM.from_pretrained(teacher)
    tiny_model(paths.candidate("prune/masked"), layers=6)
    with torch.no_grad():
        for layer in model.model.layers[1:]:
            for weight in layer.parameters():
                weight.zero_()
    model.save_pretrained(paths.candidate("prune/masked"))
    reports = measured("teacher"), measured("masked")
    assert reports[0].size_mb == reports[1].size_mb
    # Five of six blocks are masked: six times cheaper by count, and the gate asks for twice.
    found = " ".join(savings.lacks(*reports, CONFIG))
    assert "it costs" in found
    assert "at most 0.500 is allowed" in found


def test_a_smaller_model_that_is_slower_is_rejected() -> None:
    """What int8 is on a machine without instructions for it: fewer bytes, and more work."""
    teacher = tiny_model(paths.candidate("prune/teacher"), layers=2)
    # Rows of the vocabulary that no prompt uses take room, and hardly any time.
    wide = AutoModelForCausalLM.from_pretrained(teacher)
    wide.resize_token_embeddings(40_000)
    wide.save_pretrained(teacher)
    folder = tiny_model(paths.candidate("prune/slow"), layers=32)
    AutoModelForCausalLM.from_pretrained(folder).half().save_pretrained(folder)
    reports = measured("teacher"), measured("slow")
    found = " ".join(savings.lacks(*reports, CONFIG))
    assert "of the teacher's size, but not cheaper" in found
