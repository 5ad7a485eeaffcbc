"""Raw rows in, splits of rendered records out.

run(Prepare(...), Task(...))  # data/raw/ -> data/prepared/, data/locked/
"""

import json
import os
import tempfile
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks import paths, records
from tasks.config import Task
from tasks.errors import DataError
from tasks.prepare import clean, contamination, data_report, fit, label_noise, split
from tasks.prepare.config import Prepare
from tasks.prepare.duplicates import Positions
from tasks.prepare.scan import Counts, Scanned, scan
from tasks.prepare.table import Table, lines

FILES: dict[split.Name, Path] = {
    "unlabelled": paths.UNLABELLED,
    "train": paths.TRAIN,
    "validation": paths.VALIDATION,
    "test": paths.LOCKED_TEST,
}
LABELLED: tuple[split.Name, ...] = ("train", "validation", "test")
QUARANTINE = paths.PREPARED / "quarantine.jsonl"


class Chosen(NamedTuple):
    """What the splits hold.

    Attributes:
        sides: rows of each split.
        distinct: what duplicates cost.
        leaked: rows of training that stand in a benchmark.
        over_limit: rows that the limits left out.
    """

    sides: Mapping[split.Name, Positions]
    distinct: split.Distinct
    leaked: int
    over_limit: Mapping[split.Name, int]


def run(config: Prepare, task: Task, processes: int | None = None) -> dict[str, object]:
    """Write the splits and the quarantine, and return the report's facts.

    The result does not depend on `processes`, by default one for small data and else one a core.

    Raises:
        ConfigError: the section does not fit the task.
        DataError: the data cannot serve the task.
    """
    fit.require(config, task)
    contamination.check(config, str(paths.PARAMS))
    source = paths.RAW / "records.jsonl"
    _require_columns(source, config)
    with tempfile.TemporaryDirectory(dir=paths.scratch("prepare")) as folder:
        found = scan(source, config, task, Path(folder), processes)
        with closing(found.words):
            _require_rows(found.table, task, _where(source, found.counts))
            chosen = _chosen(found, config, task)
        for name in LABELLED:
            labels = found.table.label[chosen.sides[name]]
            _require_labels(labels, task, f"{source}: split {name}")
        for name, side in chosen.sides.items():
            _write(FILES[name], found, side)
        quarantine = [row.__dict__ for row in sorted(found.counts.rejected, key=lambda r: r.row)]
        records.write(QUARANTINE, quarantine)
        train = chosen.sides["train"]
        return _report(found, chosen, config, task) | {
            "label_noise": label_noise.suspected(found.lines, found.table, train, config, task)
        }


def _chosen(found: Scanned, config: Prepare, task: Task) -> Chosen:
    table = found.table
    leaked = table.leaked & (table.side <= split.NAMES.index("train"))
    usable = np.flatnonzero(~leaked)
    similarity = config.near_duplicate_similarity
    distinct = split.distinct(table, usable, found.words, found.frames, similarity, task)
    limits = (config.max_unlabelled, config.max_train, config.max_validation, config.max_test)
    sides: dict[split.Name, Positions] = {}
    over: dict[split.Name, int] = {}
    for code, (name, limit) in enumerate(zip(split.NAMES, limits, strict=True)):
        drawn = distinct.kept[table.side[distinct.kept] == code]
        sides[name] = split.subset(table, drawn, limit, task)
        over[name] = len(drawn) - len(sides[name])
    return Chosen(sides, distinct, int(leaked.sum()), over)


def _report(found: Scanned, chosen: Chosen, config: Prepare, task: Task) -> dict[str, object]:
    return {
        "rows": data_report.of_rows(
            found.counts, chosen.distinct, chosen.leaked, chosen.over_limit
        ),
        "splits": {
            name: data_report.of_split(
                found.table, side, FILES[name], task.labels if name in LABELLED else ()
            )
            for name, side in chosen.sides.items()
            if len(side)
        },
        "conflicts": chosen.distinct.conflicts,
        "benchmarks": contamination.sha256(config),
        "pii": data_report.of_pii(found.counts, config),
    }


def _write(file: Path, found: Scanned, side: Positions) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(file.suffix + ".part")
    with part.open("wb") as stream:
        stream.writelines(lines(found.lines, found.table, side))
    os.replace(part, file)


def _require_columns(source: Path, config: Prepare) -> None:
    """Look at rows until every column was seen: of good data, at few."""
    if not source.is_file():
        raise DataError(f"{source} does not exist; run the stage fetch@data first")
    wanted = set(config.columns().values())
    present: set[str] = set()
    with source.open(encoding="utf-8") as rows:
        for row in rows:
            present |= json.loads(row).keys()
            if wanted <= present:
                return
    if not present:
        raise DataError(f"{source}: no rows; point fetch.data.source at a data set that has some")
    clean.require_columns(present, config, str(source))


def _require_rows(table: Table, task: Task, where: str) -> None:
    labels = table.label[table.side != split.NAMES.index("unlabelled")]
    if not len(labels):
        raise DataError(f"{where}: no usable row; mend prepare.fields or prepare.reference")
    _require_labels(labels, task, where)


def _require_labels(labels: NDArray[np.int32], task: Task, where: str) -> None:
    """Refuse a split without rows, or rows that lack one of the labels.

    Raises:
        DataError: with the counts.
    """
    if not len(labels):
        raise DataError(f"{where}: no record; add rows, or mend prepare.split")
    counts = dict(
        zip(task.labels, np.bincount(labels, minlength=len(task.labels)).tolist(), strict=False)
    )
    missing = [label for label, count in counts.items() if not count]
    if missing:
        shown = ", ".join(f"{label}: {count}" for label, count in counts.items())
        one = len(counts) - len(missing) == 1
        raise DataError(
            f"{where}: {'one class only' if one else 'a label is missing'} ({shown}); add rows "
            f"labelled {', '.join(missing)}, mend prepare.reference, or take the label out of "
            "task.labels"
        )


def _where(source: Path, counts: Counts) -> str:
    if not counts.rejected and not counts.outside:
        return str(source)
    reasons = Counter(row.reason for row in counts.rejected).most_common(3)
    shown = [f"{count} rejected ({reason})" for reason, count in reasons]
    return f"{source} ({'; '.join([*shown, f'{counts.outside} in no bin'])})"
