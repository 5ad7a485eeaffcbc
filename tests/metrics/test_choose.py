"""Every metric that a task may name can be had."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from tasks.config import CORPUS_METRICS, METRICS, Kind, Task
from tasks.errors import ConfigError
from tasks.metrics import choose
from tasks.metrics.custom import load
from tasks.records import Prediction

PARTS = {
    "classification": {"labels": ("a", "b")},
    "extraction": {"answer_schema": {"type": "object"}},
}
ANSWERS = {"extraction": '{"a": 1}'}


def task(kind: Kind, **more: object) -> Task:
    return Task.model_validate({"kind": kind, **PARTS.get(kind, {}), **more})


@pytest.mark.parametrize(
    ("kind", "metric"), [(k, m) for k, names in METRICS.items() for m in names]
)
def test_the_reference_itself_has_the_best_score(kind: Kind, metric: str) -> None:
    text = ANSWERS.get(kind, "four words are enough here")
    same = [
        Prediction(id=str(n), reference=text, answer=text, score=1.0, metadata={}) for n in range(9)
    ]
    assert choose.interval(metric, same, task(kind)).value == pytest.approx(1)


def test_a_metric_of_whole_corpora_cannot_compare_single_answers() -> None:
    for metric in CORPUS_METRICS:
        with pytest.raises(ValueError, match="no score of a single answer"):
            choose.scorer(metric, task("chat"))
    with pytest.raises(ValidationError, match="metric: one of accuracy, or module:function"):
        task("classification", metric="macro_f1")


def test_a_metric_of_ones_own_is_found_in_the_workloads_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "workloads").mkdir()
    (tmp_path / "workloads/mine.py").write_text(
        "def first_letter(answer, reference):\n    return answer[:1] == reference[:1]\n"
        "def percent(answer, reference):\n    return 73\n"
    )
    score = choose.scorer("mine:first_letter", task("chat", metric="mine:first_letter"))
    assert (score("yes", "yellow"), score("no", "yellow")) == (1.0, 0.0)
    with pytest.raises(ConfigError, match=r"gave 73\.0; a score must lie between 0 and 1"):
        load("mine:percent")("a", "a")


@pytest.mark.parametrize("name", ["other:f", "mine:g", "../mine:f", "os.path:join"])
def test_what_is_not_in_the_workloads_folder_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "workloads").mkdir()
    (tmp_path / "workloads/mine.py").write_text("def f(answer, reference):\n    return 1\n")
    with pytest.raises(ConfigError, match=r"task\.metric = "):
        load(name)
