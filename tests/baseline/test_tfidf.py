"""TF-IDF and logistic regression."""

from pathlib import Path

import pytest

from tasks.baseline.config import BaselineConfig
from tasks.baseline.tfidf import evaluate
from tasks.measure import MeasureConfig
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
