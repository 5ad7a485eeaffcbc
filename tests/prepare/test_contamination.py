import json
from pathlib import Path
from typing import Any

import pytest

from tasks import records
from tasks.errors import ConfigError, DataError
from tasks.prepare import pipeline
from tasks.prepare.config import Prepare, Split
from tasks.prepare.split import assign
from tests.prepare.conftest import TASK, write_raw

SPLIT = {"validation": 0.3, "test": 0.3}
EXAM = "the quick brown fox jumps over the lazy dog near the old river bank today"
FILES = {
    "exam.jsonl": json.dumps({"text": EXAM, "label": "positive"}) + "\n",
    "exam.csv": f'question,answer\n"{EXAM}",4\n',
    "exam.txt": f"something else\n{EXAM.upper()}\n",
}


def prepared(*benchmarks: str) -> tuple[set[str], Any]:
    """Texts of the training split, and the report."""
    config = Prepare.model_validate(
        {
            "fields": {"text": "text"},
            "reference": {"column": "label"},
            "group_column": "group",
            "split": SPLIT,
            "benchmarks": benchmarks,
            "label_noise_rows": 0,
        }
    )
    report = pipeline.run(config, TASK)
    return {
        row.fields["text"] for row in records.read(pipeline.FILES["train"], records.Record)
    }, report


def planted() -> set[str]:
    """Rows, some leaked; returns those that are."""
    leaked = {
        EXAM.replace("lazy", "sleepy"),
        f"before it some other words stood, then {EXAM} and after it came these again "
        "as part of a much longer request than the benchmark's own one, which hides it well",
    }
    rows: list[dict[str, object]] = [
        {"text": f"{n * 7919} is one and {n * 104729} another", "label": TASK.labels[n % 2]}
        for n in range(100)
    ]
    groups = (f"g{n}" for n in range(100))
    train = next(g for g in groups if assign(g, Split.model_validate(SPLIT)) == "train")
    write_raw(
        [row | {"group": n} for n, row in enumerate(rows)]
        + [{"text": text, "label": "positive", "group": train} for text in sorted(leaked)]
    )
    return leaked


@pytest.mark.parametrize("name", FILES)
def test_training_holds_no_text_of_a_benchmark(checkout: Path, name: str) -> None:
    leaked = planted()
    (checkout / name).write_text(FILES[name])
    before, _ = prepared()
    assert before >= leaked
    after, report = prepared(str(checkout / name))
    assert after == before - leaked
    assert report["rows"]["in_benchmarks"] == 2
    assert len(report["benchmarks"][name]) == 64


def test_files_that_are_missing_or_of_another_kind_are_named_at_once(checkout: Path) -> None:
    planted()
    (checkout / "a.pdf").touch()
    with pytest.raises(ConfigError, match=r"(?s)benchmarks\.0 = a\.pdf.*benchmarks\.1 = b\.csv"):
        prepared("a.pdf", "b.csv")


@pytest.mark.parametrize(("text", "message"), [("", "holds no text"), ("[1]\n", "line 1 is no")])
def test_files_without_text_are_refused(checkout: Path, text: str, message: str) -> None:
    planted()
    (checkout / "empty.jsonl").write_text(text)
    with pytest.raises(DataError, match=message):
        prepared("empty.jsonl")
