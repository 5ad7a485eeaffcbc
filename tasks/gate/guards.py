"""What must not get worse beside the metric itself: further metrics, and every slice.

    metric("macro_f1", 0.03, teacher, candidate, task, 0.95).verdict    "pass"
    slices(teacher, candidate, task, config)                            one comparison a slice

A pass needs the metric and every guard, each shown at the full level: the chance of a false pass
stays that of a single test (intersection-union, Berger 1982, Technometrics 24:295). Slices are the
other way round, for few of them are large enough to prove anything: one fails the candidate when
it is shown to be worse by more than the slice margin, with Holm's correction over all slices (Holm
1979, Scandinavian Journal of Statistics 6:65), so that many slices do not make an alarm likelier.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tasks import slices as split
from tasks.candidates_table import GuardComparison, SliceComparison, Verdict
from tasks.config import CORPUS_METRICS, Task
from tasks.gate.config import GateConfig
from tasks.gate.pairing import Graded, Paired, in_order, of_scores, pair
from tasks.gate.selection import Evaluated, Lack, items_needed, more_items, points
from tasks.intervals import unseen
from tasks.metrics import choose
from tasks.records import Prediction

FEWEST = 20
"""Items of a slice that can raise an alarm: fewer are told, but their tests do not hold."""

Predictions = Sequence[Prediction]


class Measured(NamedTuple):
    """A further metric of both.

    Attributes:
        pairs: tells what a test of another size would show.
        bounds: one-sided, of the difference.
    """

    teacher: float
    candidate: float
    pairs: Paired
    bounds: tuple[float, float]


def metric(
    name: str, teacher: Predictions, candidate: Predictions, task: Task, config: GateConfig
) -> GuardComparison:
    """One of `config.guards` on the same items, in the same order."""
    found, margin = (
        _measured(name, teacher, candidate, task, config.confidence),
        config.guards[name],
    )
    verdict = _verdict(*found.bounds, margin)
    unknown = verdict == "inconclusive"
    return GuardComparison(
        metric=name,
        margin=margin,
        teacher=found.teacher,
        candidate=found.candidate,
        difference=found.candidate - found.teacher,
        lower_bound=found.bounds[0],
        upper_bound=found.bounds[1],
        verdict=verdict,
        required_items=items_needed(found.pairs, margin, config) if unknown else None,
    )


def lacks(
    teacher: Evaluated, candidate: Evaluated, task: Task, config: GateConfig, test_items: int
) -> list[Lack]:
    """Why a candidate would not hold every guard and slice, judged on validation; else empty."""
    sides = in_order(teacher.predictions, candidate.predictions)
    found = []
    for name, margin in config.guards.items():
        pairs = _measured(name, *sides, task, config.confidence).pairs
        chance = pairs.pass_probability(test_items, margin, config.confidence)
        if chance < config.min_pass_probability:
            reason = (
                f"its chance of being shown within {points(margin, signed=False)} of the teacher's "
                f"{name} is {chance:.0%}, and {config.min_pass_probability:.0%} is asked: on "
                f"validation it is {points(pairs.difference)}"
            )
            found.append(Lack(reason, more_items(pairs, margin, config, test_items)))
    worse = [part for part in slices(*sides, task, config) if part.worse]
    return [*found, *(Lack(f"on validation, {_lost(part, config)}") for part in worse)]


def _measured(
    name: str, teacher: Predictions, candidate: Predictions, task: Task, confidence: float
) -> Measured:
    if name in CORPUS_METRICS:
        return _corpus(name, teacher, candidate, confidence)
    score = choose.scorer(name, task)
    one, other = (
        [score(each.answer, each.reference) for each in side] for side in (teacher, candidate)
    )
    pairs = of_scores(one, other)
    found = pairs.compared(confidence)
    bounds = found.lower_bound, found.upper_bound
    return Measured(float(np.mean(one)), float(np.mean(other)), pairs, bounds)


def slices(
    teacher: Predictions, candidate: Predictions, task: Task, config: GateConfig
) -> tuple[SliceComparison, ...]:
    """Every slice of the two, those that are shown to be worse by too much marked."""
    parts: list[tuple[str, str, Paired, Predictions, Predictions]] = []
    for field in task.slices:
        others = split.by(field, candidate)
        for value, part in split.by(field, teacher).items():
            pairs = pair("the teacher", part, "the candidate", others.get(value, ()))
            parts.append((field, value, pairs, part, others[value]))
    worse = _worse([pairs for _, _, pairs, _, _ in parts], config)
    return tuple(
        SliceComparison(
            field=field,
            value=value,
            n=pairs.n,
            teacher=_mean(one),
            candidate=_mean(other),
            difference=pairs.difference,
            low=(found := pairs.compared(config.confidence)).low,
            high=found.high,
            worse=is_worse,
        )
        for (field, value, pairs, one, other), is_worse in zip(parts, worse, strict=True)
    )


def _worse(parts: Sequence[Paired], config: GateConfig) -> list[bool]:
    """Holm's step-down procedure over all slices."""
    if config.slice_margin is None:
        return [False] * len(parts)
    p_values = [pairs.worse_p(config.slice_margin) if pairs.n >= FEWEST else 1.0 for pairs in parts]
    rejected = [False] * len(parts)
    for rank, position in enumerate(np.argsort(p_values, kind="stable")):
        if p_values[position] > (1 - config.confidence) / (len(parts) - rank):
            break
        rejected[position] = True
    return rejected


def _corpus(name: str, teacher: Predictions, candidate: Predictions, confidence: float) -> Measured:
    """By a paired bootstrap, whose spread is that of a mean of as many differences."""
    one, other = (
        choose.corpus(name)([each.answer for each in side], [each.reference for each in side])
        for side in (teacher, candidate)
    )
    drawn = other.resampled() - one.resampled()
    low, high = np.quantile(drawn, [1 - confidence, confidence])
    # Answers that are all alike leave a bootstrap no width; a small test has shown little then.
    reach = unseen(len(teacher), confidence) if low == high else 0.0
    deviation = float(drawn.std()) * math.sqrt(len(teacher))
    values = one.value(), other.value()
    share = sum(a.answer != b.answer for a, b in zip(teacher, candidate, strict=True)) / len(
        teacher
    )
    pairs = Graded(values[1] - values[0], deviation, share, len(teacher))
    return Measured(*values, pairs, (float(low) - reach, float(high) + reach))


def _verdict(low: float, high: float, margin: float) -> Verdict:
    if low > -margin:
        return "pass"
    return "fail" if high < -margin else "inconclusive"


def _mean(predictions: Predictions) -> float:
    return float(np.mean([each.score for each in predictions]))


def reasons(
    guarded: Sequence[GuardComparison], parts: Sequence[SliceComparison], config: GateConfig
) -> list[str]:
    """Every guard and every failing slice in words."""
    words = {"pass": "within", "fail": "beyond", "inconclusive": "perhaps beyond"}
    told = [
        f"{each.metric} is {points(each.difference)} against the teacher, with "
        f"{config.confidence:.0%} confidence {words[each.verdict]} its margin of "
        f"{points(each.margin, signed=False)}"
        for each in guarded
    ]
    return [*told, *(_lost(part, config) for part in parts if part.worse)]


def _lost(part: SliceComparison, config: GateConfig) -> str:
    return (
        f"where {part.field} is {part.value} ({part.n:,} items) it is {points(part.difference)} "
        f"against the teacher, more than the {points(config.slice_margin or 0, signed=False)} that "
        "a slice may lose"
    )
