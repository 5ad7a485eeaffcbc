"""Rows of CSV, JSON lines, Parquet and Hugging Face data sets, bad ones kept apart.

for row in of_file(Path("reviews.csv"), Data(source="path:reviews.csv", ..., format="csv")): ...
"""

import csv
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tasks import paths
from tasks.errors import DataError, FetchError
from tasks.fetch import descriptions
from tasks.fetch.config import Data
from tasks.fetch.deb import Apt
from tasks.fetch.sources import DebSource, HubSource

_SHOWN = 500
_FIELD_LIMIT = 10**7
_BATCH = 1024


@dataclass(frozen=True)
class Good:
    """A row that could be read.

    Attributes:
        number: 1-based position among the rows of the source, its header not counted.
        columns: values that JSON can hold.
    """

    number: int
    columns: Mapping[str, object]


@dataclass(frozen=True)
class Bad:
    """A row that could not be read, with the reason and the beginning of what stands there."""

    number: int
    reason: str
    raw: str


def of_file(path: Path, config: Data) -> Iterator[Good | Bad]:
    """Every row of a file in `config.format`.

    Raises:
        DataError: the file as a whole is not of that format.
    """
    match config.format:
        case "csv":
            return _csv(path, config)
        case "jsonl":
            return _jsonl(path, config)
        case "parquet":
            return _parquet(path)
        case _:
            raise DataError(f"{config.source}: say format: csv, jsonl or parquet")


def of_dataset(source: HubSource, config: Data) -> Iterator[Good | Bad]:
    """Every row of a split of a Hugging Face data set.

    Raises:
        FetchError: it cannot be had.
    """
    import datasets  # heavy; only for this kind of source

    try:
        rows = datasets.load_dataset(
            source.repository,
            name=config.subset,
            split=config.split,
            revision=source.revision,
        )
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        reason = " ".join(str(error).split())
        raise FetchError(
            f"{config.source}: split {config.split}: {reason}; check the network, the name, "
            "subset and split, or use a local copy with path:"
        ) from error
    for number, row in enumerate(rows, start=1):
        yield Good(number, {name: _plain(value) for name, value in row.items()})


def of_packages(source: DebSource, config: Data) -> Iterator[Good | Bad]:
    """Every row that a format of deb: reads.

    Raises:
        FetchError: no apt here, or no such package.
    """
    apt = Apt(paths.scratch("downloads") / "deb", config.source)
    match config.format:
        case "help_pages":
            from tasks.fetch import help_pages  # so that other formats do without lxml

            found = help_pages.rows(*map(apt.download, source.packages))
        case "descriptions":
            found = descriptions.rows(apt)
        case _:
            raise DataError(f"{config.source}: say format: help_pages or descriptions")
    for number, row in enumerate(found, start=1):
        yield Good(number, row)


def _csv(path: Path, config: Data) -> Iterator[Good | Bad]:
    csv.field_size_limit(_FIELD_LIMIT)
    quoting: Literal[0, 3] = csv.QUOTE_NONE if config.quoting == "none" else csv.QUOTE_MINIMAL
    # surrogateescape keeps bytes that are not of the encoding, so that only their row is lost.
    with path.open(encoding=config.encoding, errors="surrogateescape", newline="") as stream:
        reader = csv.reader(stream, delimiter=config.delimiter, quoting=quoting)
        names = list(config.columns) if config.columns else _header(next(reader, []), path)
        number = 0
        while True:
            number += 1
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Bad(number, f"not CSV: {error}", "")
                continue
            if values:
                yield _csv_row(number, names, values, config)


def _header(names: list[str], path: Path) -> list[str]:
    names = [name.removeprefix("\ufeff").strip() for name in names]
    if len(set(names)) != len(names) or "" in names:
        raise DataError(
            f"{path}: the first line is no header with one name a column: {names}; if the file has "
            "none, name the columns in fetch.data.columns"
        )
    return names


def _csv_row(number: int, names: list[str], values: list[str], config: Data) -> Good | Bad:
    raw = config.delimiter.join(values)
    if len(values) != len(names):
        return _bad(number, f"{len(values)} columns instead of {len(names)}", raw)
    if _undecodable(raw):
        return _bad(number, f"not {config.encoding}", raw)
    return Good(number, dict(zip(names, values, strict=True)))


def _jsonl(path: Path, config: Data) -> Iterator[Good | Bad]:
    with path.open(encoding=config.encoding, errors="surrogateescape", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            text = line.strip().removeprefix("\ufeff")
            if text:
                yield _json_row(number, text, config)


def _json_row(number: int, text: str, config: Data) -> Good | Bad:
    if _undecodable(text):
        return _bad(number, f"not {config.encoding}", text)
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        return _bad(number, f"not JSON: {error}", text)
    if not isinstance(value, dict):
        return _bad(number, "not a JSON object", text)
    return Good(number, {name: _plain(item) for name, item in value.items()})


def _parquet(path: Path) -> Iterator[Good | Bad]:
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(_BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield Good(number, {name: _plain(value) for name, value in row.items()})
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path}: not readable as Parquet: {error}") from error


def _plain(value: object) -> object:
    """What JSON can hold: dates and the like become text, NaN becomes null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value)


def _undecodable(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _bad(number: int, reason: str, raw: str) -> Bad:
    return Bad(number, reason, raw[:_SHOWN].encode("utf-8", "replace").decode("utf-8"))
