"""Rows of JSON lines: requests with their reference answers, and what a model answered.

{"id": "3f…", "group": "3f…", "fields": {"text": "A triumph."},
 "messages": [{"role": "user", "content": "A triumph."}],
 "prompt": "<|im_start|>user\\nA triumph.<|im_end|>\\n<|im_start|>assistant\\n",
 "reference": "positive", "metadata": {}}

Records of every kind of task have this one form; `reference` is the answer as the model should
write it: a label (classification), JSON with sorted keys that fits the task's schema (extraction),
or text (translation, summarization, chat). A single prompt is one message of the user; a
conversation of many turns is all messages up to the answer, and has no `fields`.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bentos.generator.prompt import Message
from tasks.errors import DataError


class Row(BaseModel):
    """One line of a JSONL file."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Record(Row):
    """A request, rendered as the model sees it, with the answer that is wanted.

    Attributes:
        id: sixteen hexadecimal digits, a hash of the fields, or of the messages and tools.
        group: records of one group are in one split.
        fields: inputs that the workload's prompt was filled with; none of a conversation.
        messages: OpenAI's chat form; system first if at all, the last one is the user's.
        tools: OpenAI's form; what the model may call. Left out of the file where there are none.
        prompt: the messages in the base model's chat template.
        reference: the wanted answer; empty of unlabelled rows.
        metadata: notes by which answers are looked at in slices.
    """

    id: str
    group: str
    fields: dict[str, str]
    messages: list[Message]
    tools: list[dict[str, Any]] = []
    prompt: str
    reference: str
    metadata: dict[str, str] = {}


class Prediction(Row):
    """What a candidate answered to one record.

    Attributes:
        score: what the task's metric says of the answer, 0 to 1; 1 or 0 where it is right or not.
        metadata: the record's, by which answers are looked at in slices.
        confidence: how sure the model was, 0 to 1; None where it was not asked.
    """

    id: str
    reference: str
    answer: str
    score: float = Field(ge=0, le=1)
    metadata: dict[str, str] = {}
    confidence: float | None = Field(default=None, ge=0, le=1)


Line = TypeVar("Line", bound=Row)


def read(path: Path, row: type[Line]) -> list[Line]:
    """Every row of a file.

    Raises:
        DataError: a line that is not such a row, with its number.
    """
    rows = []
    with path.open(encoding="utf-8") as lines:
        for number, text in enumerate(lines, start=1):
            try:
                rows.append(row.model_validate_json(text))
            except ValidationError as error:
                raise DataError(
                    f"{path}: line {number} is not a {row.__name__}: {error}"
                ) from error
    return rows


def write(path: Path, rows: Iterable[Row | Mapping[str, object]]) -> int:
    """Write rows as JSON lines, whole or not at all; returns how many."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(path.suffix + ".part")
    count = 0
    with part.open("w", encoding="utf-8") as lines:
        for row in rows:
            lines.write(line(row) + "\n")
            count += 1
    os.replace(part, path)
    return count


def write_report(path: Path, report: Mapping[str, object]) -> None:
    """Write a report as indented JSON with sorted keys, so that git shows what changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _empty(row: Row) -> set[str]:
    """Fields that few rows have and that are left out of the others."""
    match row:
        case Record(tools=[]):
            return {"tools"}
        case Prediction(confidence=None):
            return {"confidence"}
        case _:
            return set()


def line(row: Row | Mapping[str, object]) -> str:
    """A row as one line of JSON, without its end."""
    value = row.model_dump(exclude=_empty(row)) if isinstance(row, Row) else row
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
