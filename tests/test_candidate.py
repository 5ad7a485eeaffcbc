"""Machine time and money travel in a candidate's lineage."""

from pathlib import Path

import pytest

from tasks import candidate, paths, records
from tasks.config import Config


def test_what_was_spent_on_all_that_a_candidate_is_made_from_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    labels, answers = paths.labels("lora"), paths.answers("large")
    records.write_report(labels / paths.REPORT, {"seconds": 55.5})
    records.write_report(answers / paths.REPORT, {"seconds": 7.5, "price": 1.25})
    for name, parent, lessons in (
        ("finetune/lora", None, {"ask/large": answers}),
        ("distill/small", "finetune/lora", {"label/lora": labels}),
        ("quantize/small", "distill/small", {}),
    ):
        candidate.fresh_folder(name)
        candidate.write(candidate.describe(name, parent, Config(), lessons=lessons))
    seconds, paid = candidate.spent(paths.candidate("quantize/small"))
    assert list(seconds) == [
        "ask/large",
        "finetune/lora",
        "label/lora",
        "distill/small",
        "quantize/small",
    ]
    assert (seconds["ask/large"], seconds["label/lora"]) == (7.5, 55.5)
    assert min(seconds.values()) > 0
    assert paid == {"ask/large": 1.25}


def test_a_candidate_without_lineage_tells_of_nothing_spent(tmp_path: Path) -> None:
    assert candidate.spent(tmp_path) == ({}, {})
