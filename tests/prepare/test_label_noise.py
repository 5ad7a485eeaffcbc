from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks import records
from tasks.prepare import pipeline
from tasks.prepare.config import Prepare
from tasks.prepare.label_noise import doubtful
from tests.prepare.conftest import TASK, write_raw

SECTION = {"fields": {"text": "text"}, "reference": {"column": "label"}}


def test_a_label_is_doubted_where_another_is_as_probable_as_usual() -> None:
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.45, 0.55]])
    assert doubtful(probabilities, np.array([0, 0, 0, 1, 1], np.int32)) == [2]


def test_planted_errors_are_suspected_and_stay(checkout: Path) -> None:
    words = {"positive": "grand witty tender", "negative": "dull stale noisy"}
    rows = []
    for n in range(300):
        true = TASK.labels[n % 2]
        label = TASK.labels[(n + 1) % 2] if n % 25 == 0 else true
        rows.append({"text": f"{words[true]} {n * 7919} x{n} y{n * 31} z{n * 17}", "label": label})
    write_raw(rows)
    report: Any = pipeline.run(Prepare.model_validate(SECTION), TASK)
    train = records.read(pipeline.FILES["train"], records.Record)
    wrong = {r.id for r in train if r.fields["text"].split()[0] not in words[r.reference]}
    assert set(report["label_noise"]["ids"]) == wrong
    assert report["label_noise"]["suspected"] == len(wrong) > 2


@pytest.mark.parametrize("rows", [0, 6])
def test_few_records_are_not_doubted(checkout: Path, rows: int) -> None:
    write_raw(
        {"text": f"{n * 7919} is {n * 104729}", "label": TASK.labels[n % 2]} for n in range(100)
    )
    report = pipeline.run(Prepare.model_validate(SECTION | {"label_noise_rows": rows}), TASK)
    assert report["label_noise"] is None
