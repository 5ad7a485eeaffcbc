"""Rows of JSON lines: requests with their reference answers, and what a model answered.

{"id": "3f…", "group": "3f…", "fields": {"text": "A triumph."},
 "messages": [{"role": "user", "content": "A triumph."}],
 "prompt": "<|im_start|>user\\nA triumph.<|im_end|>\\n<|im_start|>assistant\\n",
 "reference": "positive", "metadata": {}}
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bentos.generator.prompt import Message
from tasks.errors import DataError


class Row(BaseModel):
    """One line of a JSONL file."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Record(Row):
    """A request, rendered as the model sees it, with the answer that is wanted."""

    id: str
    group: str
    fields: dict[str, str]
    messages: list[Message]
    prompt: str
    reference: str
    metadata: dict[str, str] = {}


class Prediction(Row):
    """What a candidate answered to one record.

    Attributes:
        score: what the task's metric says of the answer, 0 to 1; 1 or 0 where it is right or not.
        metadata: the record's, by which answers are looked at in slices.
    """

    id: str
    reference: str
    answer: str
    score: float = Field(ge=0, le=1)
    metadata: dict[str, str] = {}


Line = TypeVar("Line", bound=Row)


def read(path: Path, row: type[Line]) -> list[Line]:
    """Every row of a file.

    Raises:
        DataError: a line that is not such a row, with its number.
    """
    rows = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                rows.append(row.model_validate_json(line))
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
        for line in _encoded(rows):
            lines.write(line + "\n")
            count += 1
    os.replace(part, path)
    return count


def write_report(path: Path, report: Mapping[str, object]) -> None:
    """Write a report as indented JSON with sorted keys, so that git shows what changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _encoded(rows: Iterable[Row | Mapping[str, object]]) -> Iterator[str]:
    for row in rows:
        value = row.model_dump() if isinstance(row, Row) else row
        yield json.dumps(value, ensure_ascii=False, sort_keys=True)
