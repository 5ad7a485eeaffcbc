"""What must not get worse beside the metric itself: further metrics, and every slice.

    metric("macro_f1", 0.03, teacher, candidate, task, 0.95).verdict    "pass"
    slices(teacher, candidate, task, config)                            one comparison a slice

A pass needs the metric and every guard, each shown at the full level: the chance of a false pass
stays that of a single test (intersection-union, Berger 1982, Technometrics 24:295). Slices are the
other way round, for few of them are large enough to prove anything: one fails the candidate when
it is shown to be worse by more than the slice margin, with Holm's correction over all slices (Holm
1979, Scandinavian Journal of Statistics 6:65), so that many slices do not make an alarm likelier.
"""

from collections.abc import Sequence

import numpy as np

from tasks import slices as split
from tasks.candidates_table import GuardComparison, SliceComparison, Verdict
from tasks.config import CORPUS_METRICS, Task
from tasks.gate.config import GateConfig
from tasks.gate.pairing import Paired, of_scores, pair
from tasks.gate.selection import points
from tasks.intervals import unseen
from tasks.metrics import choose
from tasks.records import Prediction

FEWEST = 20
"""Items of a slice that can raise an alarm: fewer are told, but their tests do not hold."""

Predictions = Sequence[Prediction]


def metric(
    name: str,
    margin: float,
    teacher: Predictions,
    candidate: Predictions,
    task: Task,
    confidence: float,
) -> GuardComparison:
    """One further metric of the two on the same items, in the same order."""
    if name in CORPUS_METRICS:
        values, bounds = _corpus(name, teacher, candidate, confidence)
    else:
        score = choose.scorer(name, task)
        scores = [
            [score(each.answer, each.reference) for each in side] for side in (teacher, candidate)
        ]
        values = (float(np.mean(scores[0])), float(np.mean(scores[1])))
        found = of_scores(*scores).compared(confidence)
        bounds = (found.lower_bound, found.upper_bound)
    return GuardComparison(
        metric=name,
        margin=margin,
        teacher=values[0],
        candidate=values[1],
        difference=values[1] - values[0],
        lower_bound=bounds[0],
        upper_bound=bounds[1],
        verdict=_verdict(*bounds, margin),
    )


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


def _corpus(
    name: str, teacher: Predictions, candidate: Predictions, confidence: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Values and one-sided bounds of the difference, by a paired bootstrap."""
    one, other = (
        choose.corpus(name)([each.answer for each in side], [each.reference for each in side])
        for side in (teacher, candidate)
    )
    drawn = other.resampled() - one.resampled()
    low, high = np.quantile(drawn, [1 - confidence, confidence])
    # Answers that are all alike leave a bootstrap no width; a small test has shown little then.
    reach = unseen(len(teacher), confidence) if low == high else 0.0
    return (one.value(), other.value()), (float(low) - reach, float(high) + reach)


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
    told += [
        f"where {part.field} is {part.value} ({part.n:,} items) it is {points(part.difference)} "
        f"against the teacher, more than the {points(config.slice_margin or 0, signed=False)} that "
        "a slice may lose"
        for part in parts
        if part.worse
    ]
    return told
