"""What the prepared data look like, as numbers.

{"splits": {"train": {"records": 6300, "labels": {"negative": 3140, …}, "prompt_tokens": …}}}
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tasks import candidate
from tasks.prepare.clean import Item, Rejected
from tasks.prepare.split import Distinct, Name

PERCENTILES = (5, 50, 95, 99)


def of_split(items: Sequence[Item], tokens: Mapping[str, int], file: Path) -> dict[str, object]:
    """Counts and lengths of one split.

    Args:
        items: the split's items.
        tokens: prompt length by item id.
        file: where its records were written.
    """
    labels = Counter(item.reference for item in items)
    return {
        "file": str(file),
        "sha256": candidate.sha256(file),
        "records": len(items),
        "groups": len({item.group for item in items}),
        "labels": dict(sorted(labels.items())),
        "label_shares": {k: round(n / len(items), 4) for k, n in sorted(labels.items())},
        "characters": lengths([sum(map(len, item.fields.values())) for item in items]),
        "prompt_tokens": lengths([tokens[item.id] for item in items]),
    }


def of_rows(
    read: int,
    outside_bins: int,
    rejected: Sequence[Rejected],
    distinct: Distinct,
    over_limit: Mapping[Name, int],
) -> dict[str, object]:
    """Where every row that was read went; the numbers add up to `read`."""
    duplicates = {
        "exact": distinct.exact,
        "near_within_split": distinct.near_within_split,
        "near_across_splits": distinct.near_across_splits,
        "conflicting_labels": distinct.conflicting,
    }
    return {
        "read": read,
        "outside_bins": outside_bins,
        "quarantined": len(rejected),
        "quarantine_reasons": dict(sorted(Counter(row.reason for row in rejected).items())),
        "duplicates_removed": duplicates,
        "over_limit": dict(over_limit),
        "kept": len(distinct.items) - sum(over_limit.values()),
    }


def lengths(values: Sequence[int]) -> dict[str, float]:
    """Mean, percentiles and maximum."""
    found = {f"p{p}": round(float(np.percentile(values, p)), 2) for p in PERCENTILES}
    return {"mean": round(float(np.mean(values)), 2), **found, "max": float(max(values))}
