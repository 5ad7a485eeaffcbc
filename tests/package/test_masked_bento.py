"""What was masked is found nowhere: in data, models, reports, logs or the Bento."""

import logging
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tasks import paths, records
from tasks.baseline.config import BaselineConfig
from tasks.baseline.rival import evaluate
from tasks.finetune import lora
from tasks.finetune.config import FinetuneConfig
from tasks.measure import MeasureConfig
from tasks.package import bento
from tasks.prepare import __main__ as prepare
from tasks.quantize import openvino_ir
from tasks.quantize.config import QuantizeConfig
from tasks.report import __main__ as report
from tests.package.test_served_bento import SERVING
from tests.tiny import LABELS, TASK, tiny_model

PERSONAL = (
    "jo.doe@example.org",
    "+49 30 901820",
    "4111 1111 1111 1111",
    "DE89 3704 0044 0532 0130 00",
    "192.168.17.42",
    "536-90-4399",
)
MASKED = b"<EMAIL_ADDRESS>"
TUNED = {"from": "fetch/base", "rank": 2, "max_steps": 2, "batch": 4, "validation_rows": 4}
PREPARE = {
    "fields": {"text": "text"},
    "reference": {"column": "label"},
    "pii": {"action": "mask"},
    "near_duplicate_similarity": 1,
}


def write_raw() -> None:
    """Rows whose label can be read off their text, every third with something personal."""
    rows = []
    for n in range(240):
        text = f"{('dull', 'grand')[n % 2]} film number {n * 7919}"
        if n % 3 == 0:
            text += f", says {PERSONAL[n // 3 % len(PERSONAL)]} of it"
        rows.append({"_row": n + 1, "text": text, "label": LABELS[n % 2]})
    paths.RAW.mkdir(parents=True)
    records.write(paths.RAW / "records.jsonl", rows)


def written(root: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below `root` but the raw data, and every file inside an archive."""
    for file in root.rglob("*"):
        if file.is_file() and paths.RAW not in [*file.relative_to(root).parents]:
            yield str(file), file.read_bytes()
        if file.suffix == ".tar":
            with tarfile.open(file) as archive:
                for member in archive.getmembers():
                    content = archive.extractfile(member)
                    if content is not None:
                        yield f"{file}: {member.name}", content.read()


def test_nothing_masked_is_found_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STILLHOUSE_STATE", str(tmp_path / ".stillhouse"))
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "bentoml"))
    tiny_model(paths.candidate("fetch/base"), layers=2)
    write_raw()
    paths.PARAMS.write_text(
        yaml.safe_dump({"task": TASK.model_dump(mode="json"), "prepare": PREPARE})
    )
    with caplog.at_level(logging.DEBUG):
        prepare.main([])
        lora.finetune("finetune/lora", FinetuneConfig.model_validate(TUNED))
        config = QuantizeConfig.model_validate({"from": "finetune/lora", "bits": 8})
        served = paths.candidate("quantize/small")
        openvino_ir.convert(paths.candidate("finetune/lora"), served, config)
        measure = MeasureConfig(price_per_hour=0.1)
        answers, facts = evaluate("tfidf", BaselineConfig(method="tfidf"), measure, TASK)
        records.write(paths.evaluation("tfidf") / paths.PREDICTIONS, answers)
        records.write_report(paths.evaluation("tfidf") / paths.REPORT, facts)
        report.main([])
        bento.build(served, SERVING, {"workload": "tiny"}, paths.PACKAGE / "tiny.tar")
    said = capfd.readouterr()
    raw = (paths.RAW / "records.jsonl").read_text(encoding="utf-8")
    everything = [*written(tmp_path), ("output", f"{said}{caplog.text}".encode())]
    for value in PERSONAL:
        digits = value.replace(" ", "").replace("-", "")
        assert [name for name, text in everything if value.encode() in text] == []
        assert [name for name, text in everything if digits.encode() in text] == []
        assert value in raw, "what is not there cannot be found"
    holders = {name.rpartition("/")[2] for name, text in everything if MASKED in text}
    assert {"train.jsonl", "validation.jsonl", "test.jsonl"} <= holders
