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
    Span,
    Verdict,
)
from tasks.config import Task
from tasks.errors import DataError
from tasks.gate import challenge, guards, savings, selection, verdict
from tasks.gate.challenge import Challenge
from tasks.gate.config import GateConfig
from tasks.gate.pairing import in_order, pair
from tasks.gate.selection import Evaluated, Lack, Selection
from tasks.records import Prediction, Record
from tasks.sketch import sketch

Answers = Mapping[str, Sequence[Prediction]]
Answer = Callable[[Evaluation, Sequence[Record]], Sequence[Prediction]]
"""Runs one evaluated model over the locked test, with the engine that serves it."""

WORST_LAST: tuple[Verdict, ...] = ("pass", "inconclusive", "fail")


class Run(NamedTuple):
    """What the gate is given.

    Attributes:
        evaluated: every evaluated candidate by name.
        data_hash: of the prepared data that all were evaluated on.
    """

    workload: str
    budget: str
    task: Task
    evaluated: Mapping[str, Evaluated]
    locked_test: Path
    data_hash: str


class Decision(NamedTuple):
    """The gate's report, and the answers to the locked test by name; none when not looked at."""

    report: GateReport
    answers: Answers


class Sides(NamedTuple):
    """What a candidate is compared with."""

    teacher: Evaluation
    champion: Evaluation | None


def decide(run: Run, config: GateConfig, answer: Answer) -> Decision:
    """Choose on validation, then put the chosen one, teacher and champion to the locked test.

    Raises:
        DataError: an entry that config names was not evaluated, or predictions do not fit together.
    """
    teacher = _named(run, config.teacher)
    champion = _named(run, config.champion) if config.champion else None
    for name in config.cost_references:
        _named(run, name)
    candidates = [each for each in run.evaluated.values() if each.report.role == "candidate"]
    items = _count(run.locked_test)

    def lacks(candidate: Evaluated) -> Sequence[Lack]:
        found = guards.lacks(teacher, candidate, run.task, config, items)
        return found + (challenge.lacks(champion, candidate, config, items) if champion else [])

    selected = selection.choose(teacher, candidates, config, items, lacks)
    sides = Sides(teacher.report, champion.report if champion else None)
    if selected.chosen is None:
        return Decision(_nothing_tested(run, config, sides, selected), {})
    chosen = selected.chosen.report
    asked = [side for side in (sides.teacher, sides.champion, chosen) if side is not None]
    rows = records.read(run.locked_test, Record)
    answers = {side.name: answer(side, rows) for side in asked}
    return Decision(_judged(run, config, sides, chosen, selected, answers), answers)


def _nothing_tested(run: Run, config: GateConfig, sides: Sides, selected: Selection) -> GateReport:
    kept = "the release in use" if sides.champion else "the teacher"
    reasons = [f"keep {kept}: no candidate qualifies, so the locked test was not looked at"]
    if selected.undecided is not None:
        reasons.append(_too_small(selected, config))
    reasons += [f"{each.name} was {each.decision}" for each in selected.considered]
    if not selected.considered:
        reasons.append("no entry of evaluate.candidates has the role candidate")
    teacher, champion = sides
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
        max_looks=config.max_looks,
        data_hash=run.data_hash,
        considered=selected.considered,
        champion=_side(champion, champion.quality, "validation") if champion else None,
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
    sides: Sides,
    candidate: Evaluation,
    selected: Selection,
    answers: Answers,
) -> GateReport:
    teacher, champion = sides
    pairs = pair(teacher.name, answers[teacher.name], candidate.name, answers[candidate.name])
    judgement = verdict.judge(pairs, config)
    challenged = _challenged(champion, candidate, answers, config)
    ordered = in_order(answers[teacher.name], answers[candidate.name])
    guarded = tuple(guards.metric(name, *ordered, run.task, config) for name in config.guards)
    parts = guards.slices(*ordered, run.task, config)
    verdicts = [judgement.verdict, *(each.verdict for each in guarded)]
    verdicts += [challenged.verdict] if challenged else []
    verdicts += ["fail"] if any(part.worse for part in parts) else []
    found = max(verdicts, key=WORST_LAST.index)
    needed = [judgement.required_items, *(each.required_items for each in guarded)]
    needed += [challenged.required_items] if challenged else []
    references = (config.teacher, *config.cost_references)
    ledger = savings.ledger(teacher, candidate, config)
    return GateReport(
        workload=run.workload,
        budget=run.budget,
        verdict=found,
        reasons=(
            *judgement.reasons,
            *guards.reasons(guarded, parts, config),
            *(challenged.reasons if challenged else ()),
            savings.words(ledger),
            _cost_reason(ledger, config),
        ),
        chosen=candidate.name,
        teacher=_tested(teacher, answers, config),
        candidate=_tested(candidate, answers, config),
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
        required_items=max((items for items in needed if items), default=None),
        test=LockedTest(
            n=pairs.n,
            sha256=lineage.sha256(run.locked_test),
            sketch=sketch(answer.id for answer in answers[teacher.name]),
        ),
        max_looks=config.max_looks,
        data_hash=run.data_hash,
        considered=selected.considered,
        superior=found == "pass" and judgement.difference.lower_bound > 0,
        agreement=_agreement(*ordered, config),
        guards=guarded,
        slices=parts,
        champion=_tested(champion, answers, config) if champion else None,
        champion_difference=challenged.difference if challenged else None,
        ledger=ledger,
    )


def _challenged(
    champion: Evaluation | None, candidate: Evaluation, answers: Answers, config: GateConfig
) -> Challenge | None:
    if champion is None:
        return None
    pairs = pair(champion.name, answers[champion.name], candidate.name, answers[candidate.name])
    return challenge.judge(champion, candidate, pairs, config)


def _tested(report: Evaluation, answers: Answers, config: GateConfig) -> Side:
    return _side(report, _quality(answers[report.name], report.quality.metric, config), "test")


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


def _quality(answers: Sequence[Prediction], metric: str, config: GateConfig) -> Quality:
    found = intervals.mean_score([answer.score for answer in answers], config.confidence)
    return Quality(metric=metric, n=len(answers), confidence=config.confidence, **found._asdict())


def _agreement(
    teacher: Sequence[Prediction], candidate: Sequence[Prediction], config: GateConfig
) -> Span:
    same = sum(a.answer == b.answer for a, b in zip(teacher, candidate, strict=True))
    share = intervals.proportion(same, len(teacher), config.confidence)
    return Span(**share._asdict())


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
