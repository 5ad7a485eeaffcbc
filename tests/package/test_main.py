import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from bentos.generator.serving import Serving
from tasks import bill, paths, records
from tasks.bento_store import Built
from tasks.candidate import Candidate
from tasks.errors import DataError, ModelError
from tasks.package import __main__ as package
from tasks.package import bento, parity

SIDE: dict[str, object] = {
    "name": "small-int8",
    "candidate": "quantize/small-int8",
    "engine": "openvino",
    "quality": {"metric": "accuracy", "n": 9, "value": 0.9, "low": 0.8, "high": 1.0}
    | {"confidence": 0.95},
    "split": "test",
    "cost_per_1000": 0.0014,
    "p95_ms": 90.0,
    "size_mb": 72.0,
    "model_hash": "beef",
}
GATE: dict[str, object] = {
    "workload": "sentiment",
    "budget": "smoke",
    "verdict": "pass",
    "reasons": ["it is not worse"],
    "chosen": "small-int8",
    "teacher": SIDE,
    "candidate": SIDE,
    "difference": None,
    "margin": 0.03,
    "cost_ratio": 0.1,
    "max_cost_ratio": 0.2,
    "cost_ratios": {},
    "currency": "USD",
    "required_items": None,
    "test": None,
    "data_hash": "d" * 64,
    "considered": [],
}


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, Serving]]:
    """Every call of the builder, which is replaced; runs in an empty checkout."""
    monkeypatch.chdir(tmp_path)
    task = {
        "kind": "classification",
        "labels": ["negative", "positive"],
        "input_fields": ["text"],
        "prompt": {"system": "Judge.", "user": "{text}"},
    }
    Path("params.yaml").write_text(yaml.safe_dump({"task": task, "package": {}}))
    calls: list[tuple[Path, Serving]] = []

    def build(model: Path, serving: Serving, labels: Mapping[str, str], archive: Path) -> Built:
        calls.append((model, serving))
        archive.write_bytes(b"archive")
        return Built("sentiment:1", 70.0, 0.1)

    def agree(*_: object) -> dict[str, object]:
        return {"rows": 9, "agreement": 1.0, "differing": []}

    monkeypatch.setattr(bento, "build", build)
    monkeypatch.setattr(parity, "check", agree)
    return calls


def decide(**changes: object) -> None:
    records.write_report(paths.GATE / paths.REPORT, {**GATE, **changes})


def candidate() -> None:
    folder = paths.candidate("quantize/small-int8")
    folder.mkdir(parents=True)
    lineage = Candidate(
        name="quantize/small-int8",
        parent="distill/small",
        stage="quantize",
        variant="small-int8",
        params_sha256="0",
        data_sha256=None,
        commit="c" * 40,
    )
    (folder / "candidate.json").write_text(lineage.model_dump_json())


def report() -> dict[str, object]:
    loaded: dict[str, object] = json.loads((paths.PACKAGE / paths.REPORT).read_text())
    return loaded


def test_pass_packages_the_chosen_candidate(built: list[tuple[Path, Serving]]) -> None:
    decide()
    candidate()

    package.main([])

    ((model, serving),) = built
    assert model == Path("models/quantize/small-int8")
    assert serving.decoding.choices == ("negative", "positive")
    assert (serving.facts.quality, serving.facts.commit) == (0.9, "c" * 40)
    assert report()["tag"] == "sentiment:1"
    assert "openvino-genai" in (paths.PACKAGE / bill.FILE).read_text()
    assert report()["parity"] == {"rows": 9, "agreement": 1.0, "differing": []}
    assert report()["labels"] == {
        "workload": "sentiment",
        "candidate": "quantize/small-int8",
        "commit": "c" * 12,
        "data_hash": "d" * 12,
        "quality": "0.9000",
        "cost_per_1000": "0.001400",
    }


@pytest.mark.parametrize("verdict", ["fail", "inconclusive"])
def test_other_verdicts_leave_a_report_and_no_bento(
    built: list[tuple[Path, Serving]], verdict: str
) -> None:
    decide(verdict=verdict, reasons=["too small a test"])
    (paths.PACKAGE / "old.tar").parent.mkdir(parents=True)
    (paths.PACKAGE / "old.tar").touch()

    package.main([])

    assert built == []
    assert [file.name for file in paths.PACKAGE.iterdir()] == ["report.json"]
    assert report()["why"] == f"the gate's verdict is {verdict}"
    assert report()["reasons"] == ["too small a test"]


def test_candidate_of_another_engine_is_refused(built: list[tuple[Path, Serving]]) -> None:
    decide(candidate={**SIDE, "engine": "transformers"})

    with pytest.raises(ModelError, match="add a quantize variant"):
        package.main([])


def test_missing_candidate_is_named(built: list[tuple[Path, Serving]]) -> None:
    decide()

    with pytest.raises(ModelError, match="models/quantize/small-int8: missing"):
        package.main([])


def test_missing_gate_report_is_named(built: list[tuple[Path, Serving]]) -> None:
    with pytest.raises(DataError, match=r"data/gate/report\.json: missing"):
        package.main([])
