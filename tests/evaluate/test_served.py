"""Evaluation of a tiny model in the reference engine."""

from pathlib import Path

import pytest

from tasks import candidate, paths
from tasks.config import Task
from tasks.errors import DataError, ModelError
from tasks.evaluate import served
from tasks.evaluate.config import EntryConfig
from tasks.measure import MeasureConfig
from tests.tiny import LABELS, record, tiny_data, tiny_model

TASK = Task.model_validate(
    {
        "kind": "classification",
        "labels": LABELS,
        "input_fields": ["text"],
        "prompt": {"user": "{text}"},
    }
)
ENTRY = EntryConfig(candidate="finetune/lora", engine="transformers")


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    tiny_data(validation=9)
    return tiny_model(paths.candidate("finetune/lora"), layers=2)


def test_every_answer_is_a_label_and_every_figure_is_reported(model: Path) -> None:
    measure = MeasureConfig(
        price_per_hour=0.36, repeats=3, rounds=1, seconds=0, concurrency=3, warmup_requests=2
    )
    predictions, report = served.evaluate("teacher", ENTRY, measure, TASK)
    assert [p.id for p in predictions] == [record(n).id for n in range(16, 25)]
    assert {p.answer for p in predictions} <= set(LABELS)
    assert report["quality"]["n"] == report["performance"]["requests"] == 9
    assert report["performance"]["latency_ms"]["p50"] <= report["performance"]["latency_ms"]["p95"]
    assert report["cost"]["per_1000_requests"]["value"] > 0
    assert report["size_mb"] > 0


def test_requests_are_asked_again_until_the_measurement_is_long_enough(model: Path) -> None:
    measure = MeasureConfig(
        price_per_hour=0.36, repeats=2, rounds=1, concurrency=1, seconds=0.3, warmup_requests=0
    )
    predictions, report = served.evaluate("teacher", ENTRY, measure, TASK)
    assert len(predictions) == 9
    measured = report["performance"]["requests"]
    assert measured > 9
    assert measured / report["performance"]["requests_per_second"]["value"] >= 0.5


def test_every_client_makes_its_rounds_in_one_go_however_few_the_rows(model: Path) -> None:
    measure = MeasureConfig(
        price_per_hour=0.36, repeats=2, rounds=5, concurrency=2, seconds=0, warmup_requests=0
    )
    predictions, report = served.evaluate("teacher", ENTRY, measure, TASK)
    assert [p.id for p in predictions] == [record(n).id for n in range(16, 25)]
    assert report["performance"]["requests"] == 2 * 5 * 2


def test_fewer_rows_than_repeats_is_refused(model: Path) -> None:
    measure = MeasureConfig(price_per_hour=0.36, repeats=10)
    with pytest.raises(DataError, match="holds 9 rows, fewer than"):
        served.evaluate("teacher", ENTRY, measure, TASK)


def test_lineage_and_adapter_do_not_count_as_size(model: Path) -> None:
    before = candidate.served_bytes(model)
    (model / "adapter").mkdir()
    (model / "adapter" / "adapter_model.safetensors").write_bytes(b"x" * 1000)
    (model / "candidate.json").write_text("{}")
    assert candidate.served_bytes(model) == before


def test_service_and_engine_give_the_same_answers(model: Path) -> None:
    told = {"price_per_hour": 0.36, "repeats": 3, "seconds": 0, "concurrency": 4}
    given = {}
    for way in ("engine", "service"):
        measure = MeasureConfig.model_validate({**told, "through": way})
        given[way] = served.evaluate("teacher", ENTRY, measure, TASK)
    assert given["service"][0] == given["engine"][0]
    reports = [report for _, report in given.values()]
    assert [r["performance"]["through"] for r in reports] == ["engine", "service"]
    tokens = [report["cost"]["tokens_per_request"] for report in reports]
    assert tokens[0] == tokens[1] > 0


@pytest.mark.parametrize("way", ["engine", "service"])
def test_requests_at_random_moments_are_answered_as_steady_ones_are(model: Path, way: str) -> None:
    told = {"price_per_hour": 0.36, "repeats": 3, "seconds": 0.5, "load_curve": [1], "through": way}
    steady, _ = served.evaluate("teacher", ENTRY, MeasureConfig.model_validate(told), TASK)
    random = MeasureConfig.model_validate({**told, "arrivals": "random", "p95_ms": 60_000})
    predictions, report = served.evaluate("teacher", ENTRY, random, TASK)
    assert predictions == steady
    rate = report["performance"]["arrivals_per_second"]
    # So long a time is kept to at the first rate that is tried.
    assert rate == pytest.approx(
        0.9 * max(p["requests_per_second"]["value"] for p in report["performance"]["load_curve"])
    )
    assert report["cost"]["service_level"]["met"]


def test_a_service_that_cannot_start_says_what_it_printed(model: Path) -> None:
    (model / "config.json").unlink()
    measure = MeasureConfig(price_per_hour=0.36, repeats=3, through="service")
    with pytest.raises(ModelError, match=r"(?s)did not start.*cannot serve"):
        served.evaluate("teacher", ENTRY, measure, TASK)
