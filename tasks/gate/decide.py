"""From what was evaluated to a verdict, looking at the locked test once or not at all.

decision = decide(run, config, answer)
decision.report.verdict                 "pass"
decision.answers["small-int8"]          predictions on the locked test
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from tasks import candidate as lineage
from tasks import candidates_table, intervals, paths, records
from tasks.candidates_table import (
    Difference,
    Evaluation,
    GateReport,
    Ledger,
    LockedTest,
    Quality,
    Side,
)
from tasks.errors import DataError
from tasks.gate import savings, selection, verdict
from tasks.gate.config import GateConfig
from tasks.gate.pairing import pair
from tasks.gate.selection import Evaluated, Selection
from tasks.records import Prediction, Record

Answers = Mapping[str, Sequence[Prediction]]
Answer = Callable[[Evaluation, Sequence[Record]], Sequence[Prediction]]
"""Runs one evaluated model over the locked test, with the engine that serves it."""


class Run(NamedTuple):
    """What the gate is given.

    Attributes:
        evaluated: every evaluated candidate by name.
        data_hash: of the prepared data that all were evaluated on.
    """

    workload: str
    budget: str
    evaluated: Mapping[str, Evaluated]
    locked_test: Path
    data_hash: str


class Decision(NamedTuple):
    """The gate's report, and the answers to the locked test by name; none when not looked at."""

    report: GateReport
    answers: Answers


def decide(run: Run, config: GateConfig, answer: Answer) -> Decision:
    """Choose on validation, then put the chosen one and the teacher to the locked test.

    Raises:
        DataError: an entry that config names was not evaluated, or predictions do not fit together.
    """
    teacher = _named(run, config.teacher)
    for name in config.cost_references:
        _named(run, name)
    candidates = [each for each in run.evaluated.values() if each.report.role == "candidate"]
    selected = selection.choose(teacher, candidates, config, _count(run.locked_test))
    if selected.chosen is None:
        return Decision(_keep_the_teacher(run, config, teacher.report, selected), {})
    sides = (teacher.report, selected.chosen.report)
    items = records.read(run.locked_test, Record)
    answers = {side.name: answer(side, items) for side in sides}
    return Decision(_judged(run, config, sides, selected, answers), answers)


def _keep_the_teacher(
    run: Run, config: GateConfig, teacher: Evaluation, selected: Selection
) -> GateReport:
    reasons = ["keep the teacher: no candidate qualifies, so the locked test was not looked at"]
    if selected.undecided is not None:
        reasons.append(_too_small(selected, config))
    reasons += [f"{each.name} was {each.decision}" for each in selected.considered]
    if not selected.considered:
        reasons.append("no entry of evaluate.candidates has the role candidate")
    return GateReport(
        workload=run.workload,
        budget=run.budget,
        verdict="fail" if selected.undecided is None else "inconclusive",
        reasons=tuple(reasons),
        chosen=None,
        teacher=_side(teacher, teacher.quality, "validation"),
        candidate=None,
        difference=None,
        margin=config.margin,
        cost_ratio=None,
        max_cost_ratio=config.max_cost_ratio,
        cost_ratios={},
        currency=teacher.cost.currency,
        required_items=selected.required_items,
        test=None,
        data_hash=run.data_hash,
        considered=selected.considered,
    )


def _too_small(selected: Selection, config: GateConfig) -> str:
    return (
        f"{selected.undecided} may be good enough, but a locked test of this size is unlikely to "
        f"show it; about {selected.required_items:,} items would with "
        f"{config.min_pass_probability:.0%} probability"
    )


def _judged(
    run: Run,
    config: GateConfig,
    sides: tuple[Evaluation, Evaluation],
    selected: Selection,
    answers: Answers,
) -> GateReport:
    teacher, candidate = sides
    pairs = pair(teacher.name, answers[teacher.name], candidate.name, answers[candidate.name])
    judgement = verdict.judge(pairs, config)
    references = (config.teacher, *config.cost_references)
    ledger = savings.ledger(teacher, candidate, config)
    return GateReport(
        workload=run.workload,
        budget=run.budget,
        verdict=judgement.verdict,
        reasons=(
            *judgement.reasons,
            savings.words(ledger),
            _cost_reason(ledger, config),
        ),
        chosen=candidate.name,
        teacher=_side(teacher, _quality(answers[teacher.name], config), "test"),
        candidate=_side(candidate, _quality(answers[candidate.name], config), "test"),
        difference=Difference(
            confidence=config.confidence,
            discordance=pairs.discordance,
            **judgement.difference._asdict(),
        ),
        margin=config.margin,
        cost_ratio=ledger.ratio.value,
        max_cost_ratio=config.max_cost_ratio,
        cost_ratios={
            name: _cost(run.evaluated[name].report) / _cost(candidate) for name in references
        },
        currency=candidate.cost.currency,
        required_items=judgement.required_items,
        test=LockedTest(n=pairs.n, sha256=lineage.sha256(run.locked_test)),
        data_hash=run.data_hash,
        considered=selected.considered,
        ledger=ledger,
    )


def _named(run: Run, name: str) -> Evaluated:
    if name not in run.evaluated:
        file = paths.evaluation(name) / paths.REPORT
        raise DataError(f"{file}: missing; run `python -m tasks.evaluate {name}` first")
    return run.evaluated[name]


def _count(file: Path) -> int:
    """Number of items, without looking into any of them."""
    if not file.exists():
        raise DataError(f"{file}: missing; run `python -m tasks.prepare` first")
    with file.open("rb") as lines:
        count = sum(1 for _ in lines)
    if count == 0:
        raise DataError(f"{file}: no items; give prepare more data or a larger test share")
    return count


def _quality(answers: Sequence[Prediction], config: GateConfig) -> Quality:
    right = sum(answer.score == 1 for answer in answers)
    share = intervals.proportion(right, len(answers), config.confidence)
    return Quality(n=len(answers), confidence=config.confidence, **share._asdict())


def _cost(report: Evaluation) -> float:
    return report.cost.per_1000_requests.value


def _cost_reason(ledger: Ledger, config: GateConfig) -> str:
    currency, money = ledger.currency, candidates_table.money
    times, limit = 1 / ledger.ratio.value, 1 / config.max_cost_ratio
    return (
        f"1,000 requests cost {currency} {money(ledger.net_per_1000)} with the candidate and "
        f"{currency} {money(ledger.teacher_per_1000)} with the teacher: {times:.1f} times cheaper, "
        f"and at least {limit:.1f} times is asked"
    )


def _side(report: Evaluation, quality: Quality, split: Literal["test", "validation"]) -> Side:
    return Side(
        name=report.name,
        candidate=report.candidate,
        engine=report.engine,
        quality=quality,
        split=split,
        cost_per_1000=_cost(report),
        p95_ms=report.performance.latency_ms.p95,
        size_mb=report.size_mb,
        model_hash=report.model_hash,
    )
