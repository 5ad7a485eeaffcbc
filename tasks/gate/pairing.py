"""Answers of two models to the same items, set side by side.

pair("lora-fp32", teacher, "small-int8", candidate)    Pairs(gains=12, losses=18, n=1000)
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from tasks import intervals
from tasks.errors import DataError
from tasks.records import Prediction

SHOWN = 3


class Pairs(NamedTuple):
    """Items that only the candidate (`gains`) or only the teacher (`losses`) got right, of `n`."""

    gains: int
    losses: int
    n: int

    @property
    def difference(self) -> float:
        """Candidate's share of right answers minus the teacher's."""
        return (self.gains - self.losses) / self.n

    @property
    def discordance(self) -> float:
        """Share of items that exactly one of the two got right."""
        return (self.gains + self.losses) / self.n


def pair(
    teacher_name: str,
    teacher: Sequence[Prediction],
    candidate_name: str,
    candidate: Sequence[Prediction],
) -> Pairs:
    """Count the items on which the two differ.

    Raises:
        DataError: no answers, an item answered twice or by one of the two only, or judged by
            different references.
    """
    one, other = _by_id(teacher_name, teacher), _by_id(candidate_name, candidate)
    _check_same_items(teacher_name, one, candidate_name, other)
    _check_same_items(candidate_name, other, teacher_name, one)
    differing = [key for key in one if one[key].reference != other[key].reference]
    if differing:
        raise DataError(
            f"{teacher_name} and {candidate_name} were judged by different references at "
            f"{_some(differing)}: evaluate both again on the same split"
        )
    gains, losses = intervals.discordant(
        [one[key].score == 1 for key in one], [other[key].score == 1 for key in one]
    )
    return Pairs(gains, losses, len(one))


def _by_id(name: str, predictions: Sequence[Prediction]) -> dict[str, Prediction]:
    if not predictions:
        raise DataError(f"{name} has no predictions: run `python -m tasks.evaluate {name}` again")
    counts = Counter(prediction.id for prediction in predictions)
    twice = [key for key, count in counts.items() if count > 1]
    if twice:
        raise DataError(f"predictions of {name}: more than one for {_some(twice)}: evaluate again")
    return {prediction.id: prediction for prediction in predictions}


def _check_same_items(
    name: str, answered: dict[str, Prediction], other_name: str, other: dict[str, Prediction]
) -> None:
    missing = [key for key in other if key not in answered]
    if missing:
        raise DataError(
            f"predictions of {name}: none for {_some(missing)}, which {other_name} answered: "
            "evaluate both again on the same split"
        )


def _some(keys: Sequence[str]) -> str:
    shown = ", ".join(keys[:SHOWN])
    return f"id {shown}" + (f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else "")
