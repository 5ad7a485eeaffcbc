"""Baselines learn what little they do, and are measured as models are."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from tasks import paths, records
from tasks.baseline.config import BaselineConfig
from tasks.baseline.rival import evaluate
from tasks.measure import MeasureConfig
from tasks.records import Record
from tests.tiny import TASK, tiny_data


def test_baseline_learns_words_that_tell_the_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_data(train=40, validation=12)
    measure = MeasureConfig(price_per_hour=0.1, repeats=3)
    predictions, report = evaluate("tfidf", BaselineConfig(method="tfidf"), measure, TASK)
    assert [p.score for p in predictions] == [1.0] * 12
    assert report["quality"]["value"] == 1.0
    assert report["quality"]["low"] < 0.9, "twelve right answers prove little"
    assert report["performance"]["repeats"] == 3
    rate = report["performance"]["requests_per_second"]["value"]
    # A mean of prices: never below the price at the mean rate (Jensen).
    assert report["cost"]["per_1000_requests"]["value"] >= 100 / 3600 / rate * 0.9999


def test_text_baselines_answer_with_the_input_or_its_first_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_data(train=7, validation=12)
    told = [
        r.model_copy(update={"reference": "a b c"[: 2 * n + 1]})
        for n, r in zip((0, 1, 1, 1, 1, 2, 2), records.read(paths.TRAIN, Record), strict=True)
    ]
    records.write(paths.TRAIN, told)
    task = TASK.model_copy(update={"kind": "summarization", "labels": ()})
    measure = MeasureConfig(price_per_hour=0.1, repeats=3)
    said = {}
    for method in ("copy", "lead"):
        predictions, report = evaluate(method, BaselineConfig(method=method), measure, task)
        said[method] = predictions[0].answer
        assert report["engine"] == "python"
        assert report["quality"]["metric"] == "rouge_l"
    assert said == {"copy": "grand film 7", "lead": "grand film"}


def test_settings_of_another_method_are_refused() -> None:
    with pytest.raises(ValidationError, match="only for method lead"):
        BaselineConfig(method="copy", words=3)
