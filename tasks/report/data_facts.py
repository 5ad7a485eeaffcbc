"""What the prepared data look like, from the report of the stage prepare.

    of(report).splits[0]      Split("train", 6272, (Share("negative", 3105, 0.4951), …), …)

Whatever the report holds besides what is named here is told as it stands, below `more`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from tasks.report.words import Fact, flatten, text

SPLITS = ("train", "validation", "test", "unlabelled")
LENGTHS = ("characters", "prompt_tokens")
KNOWN_OF_SPLIT = {"file", "sha256", "records", "groups", "labels", "label_shares", *LENGTHS}
KNOWN_OF_ROWS = {
    "read",
    "kept",
    "outside_bins",
    "in_benchmarks",
    "over_limit",
    "quarantined",
    "quarantine_reasons",
    "duplicates_removed",
}


class Share(NamedTuple):
    """One of the parts that add up to a whole."""

    name: str
    number: int
    share: float


class Length(NamedTuple):
    """How long the records of a split are."""

    unit: str
    mean: str
    p50: str
    p95: str
    longest: str


class Split(NamedTuple):
    """One split of the prepared data."""

    name: str
    records: int
    groups: int | None
    labels: tuple[Share, ...]
    lengths: tuple[Length, ...]
    sha256: str


class DataFacts(NamedTuple):
    """What there is to tell of the data.

    Attributes:
        fate: where every row that was read went, the kept ones first.
        more: further facts that the stage measured.
    """

    splits: tuple[Split, ...]
    read: int | None
    fate: tuple[Share, ...]
    more: tuple[Fact, ...]


def of(report: Mapping[str, Any]) -> DataFacts:
    """The report of the stage prepare, in the order in which people ask for it."""
    splits, rows = _mapping(report, "splits"), _mapping(report, "rows")
    names = [name for name in SPLITS if name in splits]
    rest: dict[str, object] = {k: v for k, v in report.items() if k not in {"splits", "rows"}}
    more_rows = {key: value for key, value in rows.items() if key not in KNOWN_OF_ROWS}
    more_splits = {name: _rest_of(splits[name]) for name in names if _rest_of(splits[name])}
    return DataFacts(
        splits=tuple(_split(name, splits[name]) for name in names),
        read=rows.get("read"),
        fate=tuple(_fate(rows)),
        more=flatten({**rest, **more_rows, **more_splits}),
    )


def _split(name: str, found: Mapping[str, Any]) -> Split:
    shares = _mapping(found, "label_shares")
    labels = [Share(key, n, shares.get(key, 0.0)) for key, n in _mapping(found, "labels").items()]
    lengths = [(unit, _mapping(found, unit)) for unit in LENGTHS]
    return Split(
        name=name,
        records=int(found["records"]),
        groups=found.get("groups"),
        labels=tuple(labels),
        lengths=tuple(_length(unit, values) for unit, values in lengths if values),
        sha256=str(found.get("sha256", "-")),
    )


def _length(unit: str, values: Mapping[str, float]) -> Length:
    shown = [text(values.get(key)) for key in ("mean", "p50", "p95", "max")]
    return Length(unit.replace("_", " "), *shown)


def _fate(rows: Mapping[str, Any]) -> list[Share]:
    read = rows.get("read")
    if not read:
        return []
    duplicates = _mapping(rows, "duplicates_removed").items()
    reasons = _mapping(rows, "quarantine_reasons").items()
    limits = _mapping(rows, "over_limit").items()
    counts = {
        "kept": rows.get("kept", 0),
        **{f"left out: more than the limit of {split}": n for split, n in limits},
        "left out: outside the bins of the reference": rows.get("outside_bins", 0),
        "left out: text of a public benchmark": rows.get("in_benchmarks", 0),
        **{f"duplicate removed: {_spaced(kind)}": n for kind, n in duplicates},
        **{f"quarantined: {_spaced(reason)}": n for reason, n in reasons},
    }
    return [Share(name, n, n / read) for name, n in counts.items() if n or name == "kept"]


def _rest_of(split: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in split.items() if key not in KNOWN_OF_SPLIT}


def _mapping(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = content.get(key)
    return value if isinstance(value, Mapping) else {}


def _spaced(name: str) -> str:
    return name.replace("_", " ")
