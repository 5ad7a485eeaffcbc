"""Train, validation and locked test, drawn by a salted hash of the group or by time.

    assign("group-17", Split(validation=0.1, test=0.2)) -> "train"

A group's split depends on nothing but its key and the salt (or a row's on nothing but its time):
whatever is appended later, no record ever changes sides. The same thresholds hold for every label,
so each label is divided alike.
"""

import hashlib
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from tasks.config import Task
from tasks.prepare import duplicates
from tasks.prepare.config import Split, TimeSplit
from tasks.prepare.conversation import UnusableError
from tasks.prepare.duplicates import Positions, WordFile
from tasks.prepare.table import Table

Name = Literal["unlabelled", "train", "validation", "test"]
NAMES: tuple[Name, ...] = get_args(Name)
"""Of duplicates in several splits, the one in the last of these stays: training gives way.

Unlabelled rows are those of training that have no answer.
"""

_MILLISECONDS_FROM = 1e11
_CONFLICTS_SHOWN = 50


class Distinct(NamedTuple):
    """Rows without duplicates, and how many were removed and why.

    Attributes:
        kept: at most one of each cluster of duplicates, in order of their ids. (K,)
        exact: rows with the same request as one that stayed.
        near_within_split: rows nearly like one that stayed in the same split.
        near_across_splits: rows nearly like one that stayed in another split.
        conflicting: rows whose duplicates have another answer; none of them stays.
        conflicts: numbers of the rows of some such clusters.
    """

    kept: Positions
    exact: int
    near_within_split: int
    near_across_splits: int
    conflicting: int
    conflicts: list[list[int]]


class _Clusters(NamedTuple):
    """Rows gathered by a key, the one to keep first.

    Attributes:
        order: all rows, cluster by cluster. (P,)
        starts: place in `order` at which each cluster begins. (C,)
        conflict: whether its rows have several answers. (C,)
    """

    order: Positions
    starts: Positions
    conflict: NDArray[np.bool_]

    @property
    def sizes(self) -> Positions:
        return np.diff(self.starts, append=len(self.order))

    @property
    def firsts(self) -> Positions:
        """The row to keep of each cluster that has one answer."""
        return self.order[self.starts[~self.conflict]]

    def conflicting(self) -> int:
        return int(self.sizes[self.conflict].sum())

    def rows(self, table: Table) -> list[list[int]]:
        chosen = np.flatnonzero(self.conflict)[:_CONFLICTS_SHOWN]
        ends = self.starts + self.sizes
        return [
            sorted(table.row[self.order[self.starts[c] : ends[c]]].tolist())[:_CONFLICTS_SHOWN]
            for c in chosen
        ]


def share(key: str, salt: str) -> float:
    """A number from 0 to below 1 that depends on nothing but the key and the salt."""
    digest = hashlib.sha256(f"{salt}\0{key}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def assign(group: str, config: Split) -> Name:
    """The split of a group."""
    drawn = share(group, config.salt)
    if drawn < config.test:
        return "test"
    return "validation" if drawn < config.test + config.validation else "train"


def by_time(value: object, config: TimeSplit) -> Name:
    """The split of a row that was logged at `value`.

    Raises:
        UnusableError: that is no time.
    """
    moment = _moment(value, config.column)
    if moment >= config.test_from:
        return "test"
    return "validation" if moment >= config.validation_from else "train"


def distinct(
    table: Table, positions: Positions, words: WordFile, frames: Positions, near: float, task: Task
) -> Distinct:
    """Rows of which no two are duplicates, within a split or across.

    Answers conflict where there is one right answer to a request: of a classification, also to
    nearly the same request; of an extraction, whose answer follows every word, to the very same.

    Args:
        table: what is known of every row.
        positions: the rows to look at. (P,)
        words: of every row.
        frames: cluster of every row's system message and tools. (N,)
        near: least similarity of two rows of which one must go.
        task: says when two answers conflict.
    """
    exact_matters = task.kind in {"classification", "extraction"}
    same = _gathered(table, positions, table.id[positions], exact_matters)
    unique = same.firsts
    roots = duplicates.clusters(words, unique, frames[unique], near)
    like = _gathered(table, unique, roots, task.kind == "classification")
    keeper = np.repeat(like.order[like.starts], like.sizes)
    gone = np.repeat(~like.conflict, like.sizes) & (keeper != like.order)
    across = int((table.side[keeper] != table.side[like.order])[gone].sum())
    return Distinct(
        kept=like.firsts[np.argsort(table.id[like.firsts])],
        exact=len(positions) - same.conflicting() - len(unique),
        near_within_split=int(gone.sum()) - across,
        near_across_splits=across,
        conflicting=same.conflicting() + like.conflicting(),
        conflicts=[*same.rows(table), *like.rows(table)][:_CONFLICTS_SHOWN],
    )


def subset(table: Table, positions: Positions, limit: int | None, task: Task) -> Positions:
    """At most `limit` rows, each label in its proportion, chosen by hash; in order of ids."""
    ordered = positions[np.lexsort((table.id[positions], table.share[positions]))]
    if limit is not None and len(ordered) > limit:
        by_label = {
            name: ordered[table.label[ordered] == code]
            for code, name in enumerate(task.labels or ("",))
        }
        quotas = _quotas({label: len(rows) for label, rows in by_label.items() if len(rows)}, limit)
        ordered = np.concatenate([by_label[label][:quota] for label, quota in quotas.items()])
    return ordered[np.argsort(table.id[ordered])]


def _gathered(
    table: Table, positions: Positions, keys: NDArray[np.generic], conflicts: bool
) -> _Clusters:
    rank = -table.side[positions].astype(np.int8)
    chosen = np.lexsort(
        (table.row[positions], table.group[positions], table.id[positions], rank, keys)
    )
    order, keys = positions[chosen], keys[chosen]
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]][: len(keys)])
    answers = table.answer[order]
    # A row without an answer contradicts none. The first of a cluster has one if any has.
    silent = table.side[order] == NAMES.index("unlabelled")
    firsts = np.repeat(answers[starts], np.diff(starts, append=len(order)))
    answers = np.where(silent, firsts, answers)
    conflict = np.zeros(len(starts), bool)
    if conflicts and len(starts):
        conflict = np.minimum.reduceat(answers, starts) != np.maximum.reduceat(answers, starts)
    return _Clusters(order, starts, conflict)


def _moment(value: object, column: str) -> datetime:
    if value is None or isinstance(value, bool) or value == "":
        raise UnusableError(f"no {column}")
    try:
        if isinstance(value, int | float):
            seconds = value / 1000 if abs(value) >= _MILLISECONDS_FROM else value
            return datetime.fromtimestamp(seconds, UTC)
        found = datetime.fromisoformat(str(value).strip())
    except (ValueError, OverflowError, OSError):
        raise UnusableError(f"{column} is not a time") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def _quotas(counts: Mapping[str, int], limit: int) -> dict[str, int]:
    """Whole numbers that add up to `limit`, in proportion to `counts` (largest remainders)."""
    total = sum(counts.values())
    exact = {label: limit * count / total for label, count in counts.items()}
    quotas = {label: math.floor(value) for label, value in exact.items()}
    by_remainder = sorted(counts, key=lambda label: (quotas[label] - exact[label], label))
    for label in by_remainder[: limit - sum(quotas.values())]:
        quotas[label] += 1
    return quotas
