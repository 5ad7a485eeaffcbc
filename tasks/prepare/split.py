"""Train, validation and locked test, drawn by a salted hash of the group.

    assign("group-17", Split(validation=0.1, test=0.2)) -> "train"

A group's split depends on nothing but its key and the salt: whatever is appended later, no record
ever changes sides. The same thresholds hold for every label, so each label is divided alike.
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from tasks.prepare import duplicates
from tasks.prepare.clean import Item
from tasks.prepare.config import Split

Name = Literal["train", "validation", "test"]
NAMES: tuple[Name, ...] = get_args(Name)
KEEP_FIRST: dict[Name, int] = {"test": 0, "validation": 1, "train": 2}
"""Of duplicates in several splits, the one in the test stays and training gives way."""


@dataclass
class Distinct:
    """Items without duplicates, and how many were removed and why.

    Attributes:
        items: at most one of each cluster of duplicates, in order of their hashes.
        exact: rows with the same inputs as one that stayed.
        near_within_split: rows nearly like one that stayed in the same split.
        near_across_splits: rows nearly like one that stayed in another split.
        conflicting: rows whose duplicates have another label; none of them stays.
    """

    items: list[Item] = field(default_factory=list)
    exact: int = 0
    near_within_split: int = 0
    near_across_splits: int = 0
    conflicting: int = 0


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


def distinct(items: Sequence[Item], similarity: float, config: Split) -> Distinct:
    """Items of which no two are duplicates, within a split or across."""
    result = Distinct()
    unique = _without_exact(items, config, result)
    texts = ["\n".join(item.fields.values()) for item in unique]
    for cluster in duplicates.clusters(len(unique), duplicates.near(texts, similarity)):
        members = [unique[position] for position in cluster]
        if len({item.reference for item in members}) > 1:
            result.conflicting += len(members)
            continue
        kept, *others = sorted(members, key=lambda item: _rank(item, config))
        result.items.append(kept)
        side = assign(kept.group, config)
        across = sum(assign(other.group, config) != side for other in others)
        result.near_across_splits += across
        result.near_within_split += len(others) - across
    result.items.sort(key=lambda item: item.id)
    return result


def subset(items: Sequence[Item], limit: int | None, salt: str) -> list[Item]:
    """At most `limit` items, each label in its proportion, chosen by hash."""
    by_label: defaultdict[str, list[Item]] = defaultdict(list)
    for item in sorted(items, key=lambda item: (share(item.id, salt), item.id)):
        by_label[item.reference].append(item)
    if limit is None or len(items) <= limit:
        return sorted(items, key=lambda item: item.id)
    quotas = _quotas({label: len(group) for label, group in by_label.items()}, limit)
    kept = [item for label, group in by_label.items() for item in group[: quotas[label]]]
    return sorted(kept, key=lambda item: item.id)


def _without_exact(items: Sequence[Item], config: Split, result: Distinct) -> list[Item]:
    by_id: defaultdict[str, list[Item]] = defaultdict(list)
    for item in items:
        by_id[item.id].append(item)
    unique = []
    for same in by_id.values():
        if len({item.reference for item in same}) > 1:
            result.conflicting += len(same)
            continue
        unique.append(min(same, key=lambda item: (*_rank(item, config), item.group, item.row)))
        result.exact += len(same) - 1
    return sorted(unique, key=lambda item: item.id)


def _rank(item: Item, config: Split) -> tuple[int, str]:
    return KEEP_FIRST[assign(item.group, config)], item.id


def _quotas(counts: dict[str, int], limit: int) -> dict[str, int]:
    """Whole numbers that add up to `limit`, in proportion to `counts` (largest remainders)."""
    total = sum(counts.values())
    exact = {label: limit * count / total for label, count in counts.items()}
    quotas = {label: math.floor(value) for label, value in exact.items()}
    by_remainder = sorted(counts, key=lambda label: (quotas[label] - exact[label], label))
    for label in by_remainder[: limit - sum(quotas.values())]:
        quotas[label] += 1
    return quotas
