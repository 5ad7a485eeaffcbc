"""The card says what was measured, what was not, and is headed as Hugging Face wants it."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.report.facts import gather
from tasks.report.model_card import render
from tests.report.made_up import write_run

HEADINGS = (
    "Model details",
    "Intended use",
    "Training data",
    "Training procedure",
    "Evaluation",
    "Bias, risks and limitations",
    "How to verify",
)


def card(root: Path) -> tuple[dict[str, Any], str]:
    _, front, words = render(gather(root)).split("---\n", 2)
    return yaml.safe_load(front), words


def test_the_front_matter_names_licence_task_and_the_measured_result(tmp_path: Path) -> None:
    write_run(tmp_path)
    front, _ = card(tmp_path)
    assert front["license"] == "apache-2.0"
    assert front["pipeline_tag"] == "text-classification"
    [result] = front["model-index"][0]["results"]
    assert result["metrics"][0]["value"] == 0.9075


def test_every_fact_of_the_release_is_there(tmp_path: Path) -> None:
    write_run(tmp_path, everything=True)
    _, words = card(tmp_path)
    for heading in HEADINGS:
        assert f"\n## {heading}\n" in words
    for expected in (
        "**Released.**",
        "90.8% (89.0% to 92.3%)",
        "Worst slice of the locked test: length: long <words>, 83.2% on 240 items",
        "licence Apache-2.0, 134,515,008 parameters",
        "Licence of the data: MIT",
        "constrained to the labels `negative`, `positive`",
        "Is <this> review positive & good?",
        "`distill/small` from `prune/depth12`, trained on the stored logits of `finetune/lora`",
        "| test (locked test) | 1,200 |",
        "Language: not stated",
        "break even requests: 2,600",
        "within 3 points of `lora-fp32`",
        "7e" * 32,
    ):
        assert expected in words, expected


def test_the_procedure_goes_from_the_fetched_weights_to_the_candidate(tmp_path: Path) -> None:
    write_run(tmp_path)
    _, words = card(tmp_path)
    steps = [line for line in words.splitlines() if line[:3] in {f"{n}. " for n in range(1, 9)}]
    assert [step.split("`")[1] for step in steps] == [
        "fetch/base",
        "finetune/lora",
        "prune/depth12",
        "distill/small",
        "quantize/small-int8",
    ]


@pytest.mark.parametrize("verdict", ["fail", "inconclusive"])
def test_what_was_not_released_is_said_first(tmp_path: Path, verdict: str) -> None:
    write_run(tmp_path, verdict)
    front, words = card(tmp_path)
    assert f"**Not released.** The verdict is `{verdict}`: keep `lora-fp32`." in words
    assert ("model-index" in front) == (verdict == "inconclusive")


def test_without_lineage_sources_or_verdict_the_card_says_so(tmp_path: Path) -> None:
    write_run(tmp_path)
    for folder in ("models", "data/raw", "data/gate", "data/prepared"):
        shutil.rmtree(tmp_path / folder)
    front, words = card(tmp_path)
    assert front["license_name"] == "not stated"
    assert "no model is released" in words
    assert "the lineage of the candidates is missing" in words
    assert "the report of the stage fetch is missing" in words


def test_an_unknown_licence_is_not_made_up(tmp_path: Path) -> None:
    write_run(tmp_path)
    file = tmp_path / "models/fetch/report.json"
    file.write_text(file.read_text().replace('"Apache-2.0"', "null"))
    front, words = card(tmp_path)
    assert front["license"] == "other"
    assert "licence not stated" in words
