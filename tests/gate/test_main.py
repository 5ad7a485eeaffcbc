"""`python -m tasks.gate` reads what evaluate left and writes the verdict."""

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import yaml

from bentos.generator.decoding import Decoding
from bentos.generator.engine import Chunk, Completion, Engine
from bentos.generator.prompt import Renderer
from tasks import paths, records
from tasks.candidates_table import GateReport
from tasks.errors import DataError
from tasks.gate import judge
from tasks.gate import locked_test as gate_test
from tasks.gate.__main__ import main
from tests.gate.made_up import CONFIG, answers, evaluation, locked_test

LABELS = ["negative", "positive"]


class Always:
    """An engine that always answers "positive"."""

    context_length = 2048
    closed = 0

    async def complete(self, prompt_ids: Sequence[int], decoding: Decoding) -> Completion:
        if decoding.choices != tuple(LABELS):
            raise ValueError("answers must be constrained to the labels")
        return Completion("positive", len(prompt_ids), 1, "stop")

    async def stream(self, prompt_ids: Sequence[int], decoding: Decoding) -> AsyncIterator[Chunk]:
        yield Chunk("positive", "stop", 1)

    def close(self) -> None:
        Always.closed += 1


class Encoder:
    def render(self, messages: object, tools: Sequence[object] = ()) -> str:
        return "asked"

    def encode(self, prompt: str) -> list[int]:
        return [1, 2, 3]


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A run with a teacher and one candidate; returns the folders that engines were loaded from."""
    monkeypatch.chdir(tmp_path)
    folders: list[Path] = []

    def load(kind: str, folder: Path) -> Engine:
        folders.append(folder)
        return Always()

    monkeypatch.setattr(gate_test, "load_engine", load)
    monkeypatch.setattr(Renderer, "from_folder", lambda folder: Encoder())
    for name, cost, role in (("teacher", 0.01, "teacher"), ("small", 0.001, "candidate")):
        report = evaluation(name, cost, role)  # type: ignore[arg-type]
        folder = paths.evaluation(name)
        records.write_report(folder / "report.json", report.model_dump(mode="json"))
        records.write(folder / "predictions.jsonl", answers(600, range(60)))
    paths.LOCKED_TEST.parent.mkdir(parents=True)
    locked_test(paths.LOCKED_TEST.parent, 400)
    records.write(paths.VALIDATION, [])
    task = {"kind": "classification", "labels": LABELS, "input_fields": ["text"]}
    content = {
        "workload": "sentiment",
        "budget": "quick",
        "task": {**task, "prompt": {"system": None, "user": "{text}"}},
        "gate": CONFIG.model_dump(mode="json"),
    }
    paths.PARAMS.write_text(yaml.safe_dump(content))
    return folders


def test_gate_writes_verdict_and_predictions(loaded: list[Path]) -> None:
    main([])
    report = GateReport.model_validate_json((paths.GATE / "report.json").read_text())
    assert (report.verdict, report.chosen, report.workload) == ("pass", "small", "sentiment")
    lines = (paths.GATE / "predictions.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 800
    assert set(rows[0]) == {"name", "id", "reference", "answer", "score", "metadata"}
    assert loaded == [Path("models/quantize/teacher"), Path("models/quantize/small")]


def test_engines_are_closed(loaded: list[Path]) -> None:
    before = Always.closed
    main([])
    assert Always.closed == before + 2


def test_no_engine_is_loaded_when_nothing_qualifies(loaded: list[Path]) -> None:
    file = paths.evaluation("small") / "predictions.jsonl"
    records.write(file, answers(600, range(200)))
    main([])
    report = GateReport.model_validate_json((paths.GATE / "report.json").read_text())
    assert (report.verdict, report.test, loaded) == ("fail", None, [])
    assert (paths.GATE / "predictions.jsonl").read_text() == ""


def test_missing_predictions_are_named(loaded: list[Path]) -> None:
    (paths.evaluation("small") / "predictions.jsonl").unlink()
    with pytest.raises(DataError, match=r"data/evaluate/small/predictions\.jsonl: missing"):
        main([])


def test_a_baseline_cannot_be_put_to_the_test() -> None:
    report = evaluation("tfidf").model_copy(update={"candidate": None, "engine": "sklearn"})
    with pytest.raises(DataError, match="tfidf: only candidates with the engine"):
        gate_test.answer(report, [], Decoding())


def test_a_judge_that_is_away_costs_its_opinion_and_not_the_verdict(
    loaded: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge, "RETRIES", 0)
    content = yaml.safe_load(paths.PARAMS.read_text())
    content["gate"]["judge"] = {"base_url": "http://127.0.0.1:9/v1", "model": "m"}
    paths.PARAMS.write_text(yaml.safe_dump(content))
    for name, wrong in (("teacher", range(60)), ("small", range(1, 61))):
        records.write(paths.evaluation(name) / "predictions.jsonl", answers(600, wrong))
    locked_test(paths.VALIDATION.parent, 600).rename(paths.VALIDATION)
    main([])
    report = GateReport.model_validate_json((paths.GATE / "report.json").read_text())
    assert (report.verdict, report.judge) == ("pass", None)
    assert "the judge was not heard: gate.judge at http://127.0.0.1:9/v1" in report.reasons[-1]
