"""Raw rows in data/raw/: records.jsonl, quarantine.jsonl and report.json.

{"_row": 17, "id": "17", "rating": "-1.8", "text": "Effective but too tepid biopic"}
{"row": 18, "reason": "2 columns instead of 3", "raw": "18\\t0.4"}
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tasks import paths, records
from tasks.errors import DataError, HashMismatchError
from tasks.fetch import hub, pinned, rows
from tasks.fetch.config import Data
from tasks.fetch.sources import DebSource, HubSource, parse

ROW = "_row"
RECORDS = "records.jsonl"
QUARANTINE = "quarantine.jsonl"


def fetch(config: Data, folder: Path = paths.RAW) -> dict[str, object]:
    """Fill `folder` and return the report's facts.

    Raises:
        FetchError: the source cannot be had.
        HashMismatchError: the source is not what was pinned.
        DataError: it holds no row that can be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    source = parse(config.source)

    if isinstance(source, DebSource):
        found, size = rows.of_packages(source, config), None
    elif isinstance(source, HubSource) and not source.members:
        found, size = rows.of_dataset(source, config), None
    else:
        file = pinned.file(source, config.source, config.sha256, hub.dataset_file)
        found, size = rows.of_file(file, config), file.stat().st_size
    bad: list[rows.Bad] = []
    columns: set[str] = set()
    count = records.write(folder / RECORDS, _good(found, bad, columns, config))
    rejected = [{"row": row.number, "reason": row.reason, "raw": row.raw} for row in bad]
    records.write(folder / QUARANTINE, rejected)
    if size is None:
        _check_rows(folder / RECORDS, config)
    if count == 0:
        raise DataError(_empty(config, bad))
    return {
        "source": config.source,
        "sha256": config.sha256,
        "license": config.license,
        "source_bytes": size,
        "rows": count,
        "columns": sorted(columns),
        "quarantined": len(bad),
        "quarantine_reasons": dict(Counter(row.reason for row in bad).most_common(20)),
        "records_sha256": _sha256(folder / RECORDS),
    }


def _good(
    found: Iterator[rows.Good | rows.Bad],
    bad: list[rows.Bad],
    columns: set[str],
    config: Data,
) -> Iterator[dict[str, object]]:
    """The good rows, while the bad ones and the columns are noted."""
    for row in found:
        if isinstance(row, rows.Bad):
            bad.append(row)
            continue
        if ROW in row.columns:
            raise DataError(f"{config.source}: the column name {ROW} is taken; rename the column")
        columns.update(row.columns)
        yield {ROW: row.number, **row.columns}


def _check_rows(file: Path, config: Data) -> None:
    actual = _sha256(file)
    if actual != config.sha256:
        file.unlink()
        raise HashMismatchError(config.source, config.sha256, actual)


def _empty(config: Data, bad: list[rows.Bad]) -> str:
    if not bad:
        return f"{config.source}: the data set is empty; point fetch.data.source at rows"
    return (
        f"{config.source}: none of its {len(bad)} rows can be read, the first because: "
        f"{bad[0].reason}; mend format, delimiter, columns or encoding in fetch.data"
    )


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
