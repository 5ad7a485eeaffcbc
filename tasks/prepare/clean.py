"""Raw rows as clean inputs and labels; what cannot be used gets a reason.

{"_row": 17, "rating": "-1.8", "text": " Effective  but too tepid "}
-> Item(row=17, fields={"text": "Effective but too tepid"}, reference="negative")
"""

import hashlib
import json
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.errors import DataError
from tasks.prepare.config import Prepare, Reference

ROW = "_row"
_BLANKS = re.compile(r"[^\S\n]+")
_LINES = re.compile(r" ?\n ?")
_PARAGRAPHS = re.compile(r"\n{3,}")
_NEWLINES = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")


@dataclass(frozen=True)
class Item:
    """One usable row.

    Attributes:
        row: number of the row in the source.
        id: hash of the fields.
        group: key by which the split is drawn.
        fields: normalized inputs.
        reference: the wanted answer.
    """

    row: int
    id: str
    group: str
    fields: Mapping[str, str]
    reference: str


@dataclass(frozen=True)
class Rejected:
    """One row that is left out."""

    row: int
    reason: str
    raw: Mapping[str, object]


class OutsideBinsError(Exception):
    """The number is in no bin: not an error of the data, the row is only not wanted."""


def normalize(text: str) -> str:
    """NFC, plain newlines, single blanks, at most one empty line, no control characters.

    Applying it twice changes nothing.
    """
    text = _NEWLINES.sub("\n", text)
    text = "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cs"})
    text = _BLANKS.sub(" ", unicodedata.normalize("NFC", text))
    return _PARAGRAPHS.sub("\n\n", _LINES.sub("\n", text)).strip()


def require_columns(rows: Sequence[Mapping[str, object]], config: Prepare, source: str) -> None:
    """Refuse data without rows or without a column that the configuration names.

    Raises:
        DataError: naming the column, the columns that exist and the remedy.
    """
    if not rows:
        raise DataError(f"{source}: no rows; point fetch.data.source at a data set that has some")
    present = sorted({column for row in rows for column in row if column != ROW})
    wanted = {f"prepare.fields.{name}": column for name, column in config.fields.items()}
    wanted["prepare.reference.column"] = config.reference.column
    if config.group_column is not None:
        wanted["prepare.group_column"] = config.group_column
    missing = [f"{key} = {column}" for key, column in wanted.items() if column not in present]
    if missing:
        raise DataError(
            f"{source}: no such column: {'; '.join(missing)}. The columns are "
            f"{', '.join(present)}; name one of these"
        )


def item(raw: Mapping[str, object], config: Prepare, labels: Sequence[str]) -> Item | Rejected:
    """The clean form of a row, or why there is none.

    Raises:
        OutsideBinsError: the row's number is in no bin.
    """
    number = int(str(raw[ROW]))
    fields = {}
    for name, column in config.fields.items():
        value = raw.get(column)
        if value is None:
            return Rejected(number, f"no {column}", raw)
        fields[name] = normalize(value if isinstance(value, str) else _plain_text(value))
        if not fields[name]:
            return Rejected(number, f"empty {column}", raw)
    reference, problem = label(raw.get(config.reference.column), config.reference)
    if problem:
        return Rejected(number, problem, raw)
    if reference not in labels:
        return Rejected(number, "label is not in task.labels", raw)
    key = content_id(fields)
    group = key if config.group_column is None else _group(raw.get(config.group_column))
    if not group:
        return Rejected(number, f"no {config.group_column}", raw)
    return Item(number, key, group, fields, reference)


def label(value: object, config: Reference) -> tuple[str, str | None]:
    """The label that a raw value stands for, and a reason when there is none.

    Raises:
        OutsideBinsError: a number in no bin.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return "", f"no {config.column}"
    if config.bins is not None:
        return _binned(value, config.bins, config.column)
    text = normalize(_plain_text(value))
    if config.mapping is not None:
        if text not in config.mapping:
            return "", f"{config.column} is not in prepare.reference.mapping"
        return config.mapping[text], None
    return text, None


def content_id(fields: Mapping[str, str]) -> str:
    """Sixteen hexadecimal digits that stand for a record's inputs."""
    encoded = json.dumps(dict(fields), sort_keys=True, ensure_ascii=False).encode()
    return hashlib.sha256(encoded).hexdigest()[:16]


def _binned(
    value: object, bins: Mapping[str, tuple[float | None, float | None]], column: str
) -> tuple[str, str | None]:
    try:
        number = float(str(value))
    except ValueError:
        return "", f"{column} is not a number"
    if math.isnan(number):
        return "", f"{column} is not a number"
    for name, (low, high) in bins.items():
        if (low is None or low <= number) and (high is None or number < high):
            return name, None
    raise OutsideBinsError


def _group(value: object) -> str:
    return "" if value is None else normalize(_plain_text(value))


def _plain_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
