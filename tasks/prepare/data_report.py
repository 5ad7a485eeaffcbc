"""What the prepared data look like, as numbers.

{"splits": {"train": {"records": 6300, "labels": {"negative": 3140, …}, "prompt_tokens": …}}}
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks import candidate
from tasks.prepare.config import Prepare
from tasks.prepare.duplicates import Positions
from tasks.prepare.scan import Counts
from tasks.prepare.split import Distinct, Name
from tasks.prepare.table import Table

PERCENTILES = (5, 50, 95, 99)


def of_split(table: Table, side: Positions, file: Path, labels: Sequence[str]) -> dict[str, object]:
    """Counts and lengths of one split, whose records were written to `file`.

    `imbalance` is how many times more records the most frequent label has than the rarest.
    """
    facts: dict[str, object] = {
        "file": str(file),
        "sha256": candidate.sha256(file),
        "records": len(side),
        "groups": len(np.unique(table.group[side])),
        "characters": lengths(table.characters[side]),
        "prompt_tokens": lengths(table.tokens[side]),
    }
    if labels:
        counted = np.bincount(table.label[side], minlength=len(labels)).tolist()
        counts = dict(sorted(zip(labels, counted, strict=True)))
        facts["labels"] = counts
        facts["label_shares"] = {name: round(n / len(side), 4) for name, n in counts.items()}
        facts["imbalance"] = round(max(counted) / min(counted), 2)
    return facts


def of_rows(
    counts: Counts, distinct: Distinct, leaked: int, over_limit: Mapping[Name, int]
) -> dict[str, object]:
    """Where every row that was read went; the numbers add up to `read`."""
    duplicates = {
        "exact": distinct.exact,
        "near_within_split": distinct.near_within_split,
        "near_across_splits": distinct.near_across_splits,
        "conflicting_labels": distinct.conflicting,
    }
    return {
        "read": counts.read,
        "outside_bins": counts.outside,
        "quarantined": len(counts.rejected),
        "quarantine_reasons": dict(sorted(Counter(r.reason for r in counts.rejected).items())),
        "in_benchmarks": leaked,
        "duplicates_removed": duplicates,
        "over_limit": dict(over_limit),
        "kept": len(distinct.kept) - sum(over_limit.values()),
    }


def of_pii(counts: Counts, config: Prepare) -> dict[str, object] | None:
    """How many values of each entity were found in how many rows; None where none was looked for.

    Rows that were quarantined for another reason count too.
    """
    if config.pii is None:
        return None
    found = {
        entity: {"values": counts.found[entity], "rows": counts.held[entity]}
        for entity in config.pii.entities
    }
    return {"action": config.pii.action, "found": found}


def lengths(values: NDArray[np.int32]) -> dict[str, float]:
    """Mean, percentiles and maximum."""
    found = {f"p{p}": round(float(np.percentile(values, p)), 2) for p in PERCENTILES}
    return {"mean": round(float(np.mean(values)), 2), **found, "max": float(max(values))}
