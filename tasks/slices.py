"""Answers by what their records are about: quality may be fine on the whole and poor in a part.

by("language", predictions)    {"de": [...], "fr": [...]}
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from tasks.errors import DataError
from tasks.records import Prediction

MOST = 50
"""Values of one field; more are no slices but names."""


def by(field: str, predictions: Sequence[Prediction]) -> Mapping[str, list[Prediction]]:
    """The answers of every value of a metadata field, by value.

    Raises:
        DataError: records without the field, or more values than MOST.
    """
    found: defaultdict[str, list[Prediction]] = defaultdict(list)
    for each in predictions:
        if field not in each.metadata:
            raise DataError(
                f"record {each.id} has no metadata {field}, which task.slices names: add "
                f"prepare.metadata.{field}, or take it out of task.slices"
            )
        found[each.metadata[field]].append(each)
    if len(found) > MOST:
        raise DataError(
            f"metadata {field} has {len(found)} values, and task.slices allows {MOST}: choose a "
            "field with fewer"
        )
    return dict(sorted(found.items()))
