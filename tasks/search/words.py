"""A search in words, for a terminal and the Prefect UI.

| recipe | looked | quality | USD per 1,000 | vs teacher |
"""

from collections.abc import Iterator

from tasks.candidates_table import money, times
from tasks.search.outcome import Outcome, Tried

LOOKED = {"alone": "alone", "brief": "briefly", "full": "in full", "teacher": "-"}


def markdown(outcome: Outcome) -> str:
    """What was found, the frontier first, then everything else that was tried."""
    front = [each for name in outcome.frontier for each in outcome.tried if each.name == name]
    front = list({each.name: each for each in front}.values())
    rest = [each for each in outcome.tried if each not in front]
    return "\n".join(
        [
            f"# Search: {outcome.workload}, {outcome.budget}",
            "",
            *_findings(outcome),
            "",
            "## Frontier",
            "",
            *_table(outcome, [outcome.teacher, *front]),
            "",
            "## Everything else that was tried",
            "",
            *_table(outcome, rest),
            "",
            *_reasons(outcome),
        ]
    )


def headline(outcome: Outcome) -> str:
    """One sentence."""
    if outcome.chosen is None:
        return "no recipe is expected to pass the gate: keep the teacher, or search further"
    chosen = next(each for each in outcome.tried if each.name == outcome.chosen)
    return f"{chosen.recipe}: {_cheaper(outcome, chosen)} cheaper, and expected to pass the gate"


def _findings(outcome: Outcome) -> Iterator[str]:
    made = sum(each.name is not None for each in outcome.tried)
    yield (
        f"{len(outcome.tried)} recipes were tried in {outcome.seconds / 3600:.2f} machine hours; "
        f"{len(outcome.tried) - made} could not be made. **{headline(outcome)}**."
    )
    ratio = outcome.hypervolume.ratio
    if ratio is not None:
        best = max(outcome.hypervolume.alone.items(), key=lambda item: item[1])[0]
        yield (
            f"All recipes together win {ratio:.2f} times the hypervolume of the best single lever, "
            f"{best}. Quality is that of validation: the locked test was not looked at."
        )
    else:
        yield (
            "No lever alone wins anything beside the teacher, so there is no ratio to the best one."
        )


def _table(outcome: Outcome, rows: list[Tried]) -> Iterator[str]:
    yield f"| recipe | looked | quality | {outcome.currency} per 1,000 | vs teacher | MB |"
    yield "|---|---|---|---|---|---|"
    for each in rows:
        mark = " **(chosen)**" if each.name is not None and each.name == outcome.chosen else ""
        recipe = each.recipe or "teacher"
        if each.quality is None or each.price is None:
            yield f"| {recipe} | {LOOKED[each.phase]} | could not be made | - | - | - |"
            continue
        size = "-" if each.size_mb is None else f"{each.size_mb:,.0f}"
        yield (
            f"| {recipe}{mark} | {LOOKED[each.phase]} | {each.quality:.3f} "
            f"({each.quality_low:.3f}-{each.quality_high:.3f}) | {money(each.price)} | "
            f"{_cheaper(outcome, each)} | {size} |"
        )


def _reasons(outcome: Outcome) -> Iterator[str]:
    """Why recipes could not be made."""
    failed = [each for each in outcome.tried if each.reason is not None]
    if failed:
        yield from ("## Could not be made", "")
        yield from (f"- {each.recipe}: {' '.join(str(each.reason).split())}" for each in failed)
        yield ""


def _cheaper(outcome: Outcome, each: Tried) -> str:
    if not each.price or not outcome.teacher.price:
        return "-"
    return times(outcome.teacher.price / each.price)
