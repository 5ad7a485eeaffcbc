"""Which candidate is put to the locked test: the cheapest that is expected to pass.

    selection = choose(teacher, candidates, config, test_items=1200)
    selection.chosen.report.name            "small-int8"

Everything here is judged on validation; of the locked test only the number of items is used.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tasks.candidates_table import Considered, Evaluation
from tasks.gate import savings
from tasks.gate.config import GateConfig
from tasks.gate.pairing import Paired, pair
from tasks.records import Prediction


class Evaluated(NamedTuple):
    """An evaluated candidate with its answers to the validation split."""

    report: Evaluation
    predictions: Sequence[Prediction]


class Lack(NamedTuple):
    """What speaks against a candidate.

    Attributes:
        reason: in words.
        items: test items that would mend it, if validation tells the truth; None where a larger
            test would not.
    """

    reason: str
    items: int | None = None


AlsoLacks = Callable[[Evaluated], Sequence[Lack]]


class Judged(NamedTuple):
    """A candidate with its prospects."""

    evaluated: Evaluated
    pairs: Paired
    pass_probability: float
    cost_ratio: float
    lacks: tuple[Lack, ...]


class Selection(NamedTuple):
    """The candidate for the locked test, if any, and what was thought of each, cheapest first.

    Attributes:
        undecided: where none was chosen, one that may well be good enough, but not so that a test
            of this size would show it.
        required_items: test items that would, if validation tells the truth.
    """

    chosen: Evaluated | None
    considered: tuple[Considered, ...]
    undecided: str | None
    required_items: int | None


def choose(
    teacher: Evaluated,
    candidates: Sequence[Evaluated],
    config: GateConfig,
    test_items: int,
    also_lacks: AlsoLacks = lambda _: [],
) -> Selection:
    """The cheapest candidate within the cost limit that is likely enough to pass.

    Args:
        teacher: the one that all are compared with.
        candidates: what may take its place.
        config: the limits.
        test_items: size of the locked test.
        also_lacks: what speaks against a candidate beside its quality and cost.

    Raises:
        DataError: predictions of a candidate and the teacher do not fit together.
    """
    judged = [
        _judge(teacher, candidate, config, test_items, also_lacks(candidate))
        for candidate in candidates
    ]
    judged.sort(key=lambda each: (each.cost_ratio, each.evaluated.report.name))
    chosen = next((each for each in judged if not each.lacks), None)
    unknown = None if chosen else _undecided(judged)
    return Selection(
        chosen=chosen.evaluated if chosen else None,
        considered=tuple(_considered(each, chosen) for each in judged),
        undecided=unknown.evaluated.report.name if unknown else None,
        required_items=max(lack.items or 0 for lack in unknown.lacks) if unknown else None,
    )


def _undecided(judged: Sequence[Judged]) -> Judged | None:
    """The likeliest of those that lack nothing but a larger test."""
    able = [each for each in judged if all(lack.items for lack in each.lacks)]
    return max(able, key=lambda each: each.pass_probability, default=None)


def _judge(
    teacher: Evaluated,
    candidate: Evaluated,
    config: GateConfig,
    test_items: int,
    others: Sequence[Lack],
) -> Judged:
    report = candidate.report
    pairs = pair(teacher.report.name, teacher.predictions, report.name, candidate.predictions)
    probability = pairs.pass_probability(test_items, config.margin, config.confidence)
    ratio = savings.net_ratio(teacher.report, report, config).value
    lacks = [Lack(reason) for reason in savings.lacks(teacher.report, report, config)]
    if probability < config.min_pass_probability:
        items = more_items(pairs, config.margin, config, test_items)
        lacks.insert(0, Lack(_unlikely(pairs, probability, config), items))
    return Judged(candidate, pairs, probability, ratio, (*lacks, *others))


def _unlikely(pairs: Paired, probability: float, config: GateConfig) -> str:
    text = (
        f"its chance of passing the locked test is {probability:.0%}, and "
        f"{config.min_pass_probability:.0%} is asked: on validation it is "
        f"{points(pairs.difference)} against the teacher, with a margin of "
        f"{points(config.margin, signed=False)}"
    )
    items = items_needed(pairs, config.margin, config)
    if pairs.difference <= -config.margin or items is None:
        return text
    return f"{text}; were that the truth, about {items:,} test items would be enough"


def items_needed(pairs: Paired, margin: float, config: GateConfig) -> int | None:
    """Test items that would settle it if what was seen is the truth; None at the margin."""
    return pairs.items_needed(margin, config.confidence, config.min_pass_probability)


def more_items(pairs: Paired, margin: float, config: GateConfig, test_items: int) -> int | None:
    """Test items that would show it, where that is more than there are; None where none would."""
    items = items_needed(pairs, margin, config)
    able = pairs.difference > -margin and items is not None and items > test_items
    return items if able else None


def points(share: float, signed: bool = True) -> str:
    """A difference of shares in percentage points: "-1.2 points"."""
    return f"{100 * share:{'+' if signed else ''}.1f} points"


def _considered(judged: Judged, chosen: Judged | None) -> Considered:
    if judged is chosen:
        decision = "chosen: the cheapest that is expected to pass"
    elif judged.lacks:
        decision = "not put to the test: " + "; and ".join(lack.reason for lack in judged.lacks)
    else:
        decision = "not needed: a cheaper one is expected to pass"
    report = judged.evaluated.report
    return Considered(
        name=report.name,
        difference=judged.pairs.difference,
        pass_probability=judged.pass_probability,
        cost_per_1000=report.cost.per_1000_requests.value,
        cost_ratio=judged.cost_ratio,
        decision=decision,
    )
