"""A teacher that runs elsewhere, over real HTTP."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tasks import paths, records
from tasks.candidates_table import Evaluation
from tasks.errors import ConfigError, DataError
from tasks.gate import savings
from tasks.gate.config import GateConfig
from tasks.gate.locked_test import answer
from tasks.measure import MeasureConfig
from tasks.records import Record
from tasks.remote.by_token import evaluate
from tasks.remote_config import RemoteConfig
from tests.gate.made_up import evaluation
from tests.openai_server import OpenAIServer
from tests.tiny import LABELS, TASK, tiny_data

MEASURE = MeasureConfig(price_per_hour=0.1, repeats=3, currency="EUR")
INPUT, OUTPUT = 3.0, 9.0


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    """Right on every item but one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STILLHOUSE_STATE", str(tmp_path / ".stillhouse"))
    tiny_data(train=4, validation=12, test=6)
    made = OpenAIServer(lambda text: LABELS["grand" in text and "film 7" not in text])
    yield made
    made.close()


def config(server: OpenAIServer, **more: object) -> RemoteConfig:
    told = {
        "base_url": server.base_url,
        "model": "large",
        "price_per_million_input_tokens": INPUT,
        "price_per_million_output_tokens": OUTPUT,
    }
    return RemoteConfig.model_validate(told | more)


def test_quality_is_judged_and_price_is_that_of_the_tokens(server: OpenAIServer) -> None:
    predictions, told = evaluate("teacher", config(server), MEASURE, TASK)
    report = Evaluation.model_validate(told)
    assert len(predictions) == 12
    assert report.quality.value == pytest.approx(11 / 12)
    # Three words are read and one is written by every request.
    price = 1000 * (3 * INPUT + OUTPUT) / 1_000_000
    assert report.cost.per_1000_requests.value == pytest.approx(price)
    assert report.cost.tokens_per_request == 4
    assert report.cost.currency == "EUR"
    assert report.performance.latency_ms.p95 > 0
    assert {body["temperature"] for body in server.asked} == {0}


def test_no_answer_is_paid_twice_and_what_is_kept_tells_the_same(server: OpenAIServer) -> None:
    first = evaluate("teacher", config(server), MEASURE, TASK)
    assert len(server.asked) == 12
    again = evaluate("teacher", config(server, concurrency=2), MEASURE, TASK)
    assert len(server.asked) == 12
    assert again[0] == first[0]
    assert again[1]["performance"]["latency_ms"] == first[1]["performance"]["latency_ms"]


def test_a_server_that_is_busy_is_asked_again(server: OpenAIServer) -> None:
    server.failing = [429, 500]
    predictions, _ = evaluate("teacher", config(server, concurrency=1), MEASURE, TASK)
    assert len(predictions) == 12


def test_a_refusal_names_the_place_and_the_remedy(server: OpenAIServer) -> None:
    server.failing = [400] * 20
    with pytest.raises(DataError, match=r"remote\.teacher at http://127.*not now.*retry the run"):
        evaluate("teacher", config(server), MEASURE, TASK)


def test_the_key_comes_from_the_environment_and_is_written_nowhere(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = config(server, api_key_env="TEACHER_KEY")
    with pytest.raises(ConfigError, match=r"remote\.teacher\.api_key_env = TEACHER_KEY"):
        evaluate("teacher", asked, MEASURE, TASK)
    monkeypatch.setenv("TEACHER_KEY", "s3cret")
    _, report = evaluate("teacher", asked, MEASURE, TASK)
    assert server.keys == {"Bearer s3cret"}
    kept = [file.read_text() for file in tmp_path.rglob("*.json")]
    assert len(kept) == 12
    assert not any("s3cret" in text for text in (*kept, str(report)))


def test_the_gate_asks_it_the_locked_test_and_counts_its_price(server: OpenAIServer) -> None:
    asked = config(server).model_dump(mode="json")
    paths.PARAMS.write_text(yaml.safe_dump({"remote": {"teacher": asked}}))
    _, told = evaluate("teacher", config(server), MEASURE, TASK)
    report = Evaluation.model_validate(told)
    items = records.read(paths.LOCKED_TEST, Record)
    assert [each.id for each in answer(report, items, TASK)] == [each.id for each in items]
    small = evaluation("small", report.cost.per_1000_requests.value / 10)
    limits = GateConfig(teacher="teacher", margin=0.03, max_cost_ratio=0.5)
    assert savings.lacks(report, small, limits) == []
    assert savings.ledger(report, small, limits).ratio.value == pytest.approx(0.1, rel=1e-3)
