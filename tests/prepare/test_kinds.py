"""Every kind of task and of row becomes the same kind of record."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks import records
from tasks.config import Task
from tasks.errors import ConfigError
from tasks.prepare import pipeline
from tasks.prepare.config import Prepare
from tests.prepare.conftest import TASK, write_raw

COUNT = 80
LONG: dict[str, object] = {"max_answer_tokens": 64}
TEMPLATE: dict[str, object] = {"input_fields": ["text"], "prompt": {"user": "Do: {text}"}}
INVOICE = {"type": "object", "properties": {"total": {"type": "integer"}}, "required": ["total"]}
CONVERSATIONS = {"messages": "chat", "reference": {}}
COLUMNS = {"fields": {"text": "text"}, "reference": {"column": "answer"}}


def text(number: int) -> str:
    return f"{number * 7919} is one and {number * 104729} another"


def prepare(
    task: dict[str, object], section: dict[str, object], rows: list[dict[str, object]]
) -> tuple[list[records.Record], Any]:
    write_raw(rows)
    limits = {"max_validation": None, "max_test": None}
    report = pipeline.run(Prepare.model_validate(section | limits), Task.model_validate(task))
    found = [r for file in pipeline.FILES.values() for r in records.read(file, records.Record)]
    return found, report


@pytest.mark.parametrize("kind", ["translation", "summarization", "chat"])
def test_texts_with_a_template(checkout: Path, kind: str) -> None:
    rows: list[dict[str, object]] = [
        {"text": text(n), "answer": f" Answer  {n}", "site": n % 3} for n in range(COUNT)
    ]
    rows += [{"text": text(COUNT), "answer": "too long " * 20}, {"text": "x", "answer": None}]
    section = COLUMNS | {"metadata": {"site": "site"}}
    found, report = prepare({"kind": kind, **LONG, **TEMPLATE}, section, rows)
    assert len(found) == COUNT
    assert {r.reference for r in found} == {f"Answer {n}" for n in range(COUNT)}
    assert {r.metadata["site"] for r in found} == {"0", "1", "2"}
    assert all(
        r.messages == [{"role": "user", "content": f"Do: {r.fields['text']}"}] for r in found
    )
    reasons = {"no answer": 1, "reference longer than task.max_answer_tokens = 64": 1}
    assert report["rows"]["quarantine_reasons"] == reasons
    assert "labels" not in report["splits"]["train"]


def test_extractions_fit_their_schema(checkout: Path) -> None:
    rows: list[dict[str, object]] = [
        {"text": text(n), "answer": {"total": n} if n % 2 else f'{{"total":{n}}}'}
        for n in range(COUNT)
    ]
    rows += [{"text": "x", "answer": "{"}, {"text": "y", "answer": {"total": "secret"}}]
    task = {"kind": "extraction", "answer_schema": INVOICE, **LONG, **TEMPLATE}
    found, report = prepare(task, COLUMNS, rows)
    assert {r.reference for r in found} == {f'{{"total": {n}}}' for n in range(COUNT)}
    assert report["rows"]["quarantine_reasons"] == {
        "answer breaks task.answer_schema at properties/total/type": 1,
        "answer is not JSON": 1,
    }
    assert "secret" not in pipeline.QUARANTINE.read_text()


def chat(number: int, *, answered: bool = True) -> list[dict[str, str]]:
    turns = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": text(number)},
        {"role": "assistant", "content": "Why?"},
        {"role": "user", "content": f"Because of {number * 31}"},
        {"role": "assistant", "content": f"I see {number}"},
    ]
    return turns if answered else turns[:-1]


def test_conversations_end_with_their_answer(checkout: Path) -> None:
    rows: list[dict[str, object]] = [
        {"chat": chat(n) if n % 2 else json.dumps(chat(n))} for n in range(COUNT)
    ]
    rows += [
        {"chat": chat(COUNT, answered=False)},
        {"chat": [{"role": "tool", "content": "x"}]},
        {"chat": None},
    ]
    found, report = prepare({"kind": "chat", **LONG}, CONVERSATIONS, rows)
    assert {r.reference for r in found} == {f"I see {n}" for n in range(COUNT)}
    assert all(
        [m["role"] for m in r.messages] == ["system", "user", "assistant", "user"] for r in found
    )
    assert all(r.fields == {} and r.prompt.endswith("<|im_start|>assistant\n") for r in found)
    assert sum(report["rows"]["quarantine_reasons"].values()) == 3
    assert "the conversation does not end with an answer" in report["rows"]["quarantine_reasons"]


def test_conversations_with_a_column_of_labels(checkout: Path) -> None:
    rows: list[dict[str, object]] = [
        {"chat": chat(n, answered=False), "label": TASK.labels[n % 2]} for n in range(COUNT)
    ]
    rows.append({"chat": chat(COUNT), "label": "positive"})
    task = {"kind": "classification", "labels": TASK.labels}
    section = {"messages": "chat", "reference": {"column": "label"}}
    found, report = prepare(task, section, rows)
    assert len(found) == COUNT
    reason = "the request does not end with a message of the user"
    assert report["rows"]["quarantine_reasons"] == {reason: 1}
    assert report["splits"]["train"]["imbalance"] >= 1


def test_tools_are_part_of_the_record_and_of_its_identity(checkout: Path) -> None:
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {}}}
    rows: list[dict[str, object]] = [{"chat": chat(n), "tools": [tool]} for n in range(COUNT)]
    rows.append({"chat": chat(0)})
    found, _ = prepare({"kind": "chat", **LONG}, CONVERSATIONS | {"tools": "tools"}, rows)
    assert sorted(len(r.tools) for r in found) == [0] + [1] * COUNT
    assert sum('"tools"' in file.read_text() for file in pipeline.FILES.values()) > 0


@pytest.mark.parametrize(
    ("task", "section", "keys"),
    [
        ({"kind": "chat"}, COLUMNS, ["prepare.messages"]),
        ({"kind": "chat", **TEMPLATE}, CONVERSATIONS, ["prepare.messages"]),
        (
            {"kind": "chat", **TEMPLATE},
            COLUMNS | {"reference": {"column": "a", "mapping": {"x": "y"}}},
            ["prepare.reference.mapping"],
        ),
        (
            {"kind": "extraction", "answer_schema": {"type": "objekt"}, **TEMPLATE},
            COLUMNS,
            ["task.answer_schema.type"],
        ),
    ],
)
def test_sections_that_do_not_fit_the_task_are_refused(
    checkout: Path, task: dict[str, object], section: dict[str, object], keys: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        prepare(task, section, [])
    assert [problem.key for problem in caught.value.problems] == keys


START = datetime(2026, 1, 1, tzinfo=UTC)
BY_TIME: dict[str, object] = COLUMNS | {
    "split": {"time": {"column": "at", "validation_from": "2026-01-05", "test_from": "2026-01-08"}}
}


def logged(number: int, hours: int) -> dict[str, object]:
    moment = START + timedelta(hours=hours)
    return {"text": text(number), "answer": f"a {number}", "at": moment.isoformat()}


def test_logged_traffic_is_split_by_time(checkout: Path) -> None:
    rows = [logged(n, 3 * n) for n in range(COUNT)]
    rows += [{"text": text(500), "answer": "a", "at": when} for when in ("once", None)]
    _, report = prepare({"kind": "chat", **TEMPLATE}, BY_TIME, rows)
    sizes = {name: side["records"] for name, side in report["splits"].items()}
    assert sizes == {"train": 32, "validation": 24, "test": 24}
    assert report["rows"]["quarantine_reasons"] == {"at is not a time": 1, "no at": 1}


@given(more=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 400)), max_size=30))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_later_traffic_moves_no_row_to_another_split(
    checkout: Path, more: list[tuple[int, int]]
) -> None:
    def sides(rows: list[dict[str, object]]) -> dict[str, str]:
        prepare({"kind": "chat", **TEMPLATE}, BY_TIME, rows)
        return {
            record.reference: name
            for name, file in pipeline.FILES.items()
            for record in records.read(file, records.Record)
        }

    rows = [logged(n, 3 * n) for n in range(COUNT)]
    new = [logged(n, hours) | {"answer": f"new {place}"} for place, (n, hours) in enumerate(more)]
    before, after = sides(rows), sides(rows + new)
    assert all(before[key] == after[key] for key in before.keys() & after.keys())
