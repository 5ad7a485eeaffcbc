"""The release report as one HTML file that needs no network.

Path("release.html").write_text(render(facts, figures))
"""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2

from tasks import candidates_table
from tasks.candidates_table import GateReport, Span
from tasks.report import side_by_side
from tasks.report.facts import Facts
from tasks.report.side_by_side import Kind
from tasks.report.words import Fact, flatten, percent, points, rounded, text

TEMPLATE = "release.html.jinja"
HEADLINES = {
    "pass": "Pass",
    "fail": "Keep the teacher",
    "inconclusive": "Inconclusive",
}
KINDS: Mapping[Kind, tuple[str, str]] = {
    "worse": ("Only the teacher is right", "The teacher's answer scores higher"),
    "better": ("Only the candidate is right", "The candidate's answer scores higher"),
    "wrong": ("Both are wrong", "Both score alike, below the best"),
    "right": ("Both are right", "Both have the best score"),
}
"""Headings of the examples: where answers are right or wrong, and where they have scores."""

SHOWN_CHARACTERS = 280
"""Longer texts are folded: their beginning is shown, a click shows the rest."""


class Figures(NamedTuple):
    """PNG bytes of the plots; None where there is nothing to draw."""

    frontier: bytes | None
    difference: bytes | None
    curves: bytes | None
    lineage: bytes | None
    latency: bytes | None


class SliceRow(NamedTuple):
    """Quality of both sides on one slice of validation."""

    field: str
    value: str
    n: int
    teacher: Span | None
    candidate: Span | None


class Strip(NamedTuple):
    """A small drawing of one interval, in hundredths of its width."""

    low: float
    value: float
    high: float
    zero: float | None


def render(facts: Facts, figures: Figures) -> str:
    """The whole page. Text from files is escaped; plots are embedded."""
    gate = facts.table.gate
    pair = side_by_side.sides(facts.table)
    return (
        environment()
        .get_template(TEMPLATE)
        .render(
            facts=facts,
            gate=gate,
            table=facts.table,
            headline=headline(gate),
            summary=summary(gate),
            images={name: image(png) for name, png in figures._asdict().items()},
            performance=facts.evaluations[0].performance if facts.evaluations else None,
            price=facts.evaluations[0].cost.price_per_hour if facts.evaluations else None,
            metric=facts.evaluations[0].quality.metric if facts.evaluations else "quality",
            hashes={each.name: each.model_hash for each in facts.evaluations},
            pair=pair,
            slices=slices(facts),
            metrics=_metric_names(facts),
            parity=list(dict.fromkeys(key for each in facts.parity for key, _ in each.facts)),
            kinds=_kinds(facts),
            agreement=told(facts.gate.agreement),
            ledger=told(facts.gate.ledger),
            commit=facts.commit.split(" ")[0] if facts.commit else "COMMIT",
        )
    )


def environment() -> jinja2.Environment:
    """Templates of this folder, escaped where they are HTML, with the filters that they share."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=jinja2.select_autoescape(["html", "html.jinja"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {
        "money": candidates_table.money,
        "times": candidates_table.times,
        "percent": percent,
        "points": points,
        "rounded": rounded,
        "text": text,
        "beginning": beginning,
        "spaced": lambda name: str(name).replace("_", " "),
    }
    made.globals["strip"] = strip
    return made


def headline(gate: GateReport | None) -> str:
    """The verdict as the page's title."""
    return HEADLINES[gate.verdict] if gate else "No verdict yet"


def summary(gate: GateReport | None) -> str:
    """The verdict in one sentence."""
    if gate is None:
        return "The gate did not run, so nothing here was compared on the locked test."
    if gate.candidate is None:
        return f"No candidate qualifies to replace {gate.teacher.name}."
    cheaper = gate.teacher.cost_per_1000 / gate.candidate.cost_per_1000
    name = gate.candidate.name
    match gate.verdict:
        case "pass":
            return (
                f"{name} may replace {gate.teacher.name}: shown to be no worse than the margin "
                f"allows, at a cost {cheaper:.1f} times lower."
            )
        case "fail":
            return f"{name} is worse than {gate.teacher.name} by more than the margin."
        case _:
            return f"The locked test is too small to tell whether {name} keeps within the margin."


def slices(facts: Facts) -> list[SliceRow]:
    """Slices of validation with both sides' quality, where either side has them."""
    pair = side_by_side.sides(facts.table)
    if pair is None:
        return []
    found = [{(s.field, s.value): s for s in facts.more[row.name].slices} for row in pair]
    keys = list(dict.fromkeys(key for side in found for key in side))
    rows = []
    for key in keys:
        teacher, candidate = (side.get(key) for side in found)
        both = [side for side in (teacher, candidate) if side is not None]
        rows.append(
            SliceRow(
                *key,
                n=both[0].n,
                teacher=teacher.quality if teacher else None,
                candidate=candidate.quality if candidate else None,
            )
        )
    return rows


def told(value: object) -> tuple[Fact, ...]:
    """Whatever stands in a report, as keys and values; nothing for nothing."""
    match value:
        case None:
            return ()
        case Mapping():
            return (
                flatten({"": value}) if value.keys() == {"value", "low", "high"} else flatten(value)
            )
        case list() | tuple():
            return tuple(fact for each in value for fact in _entry(each))
        case _:
            return (("", text(value)),)


def strip(
    value: float, low: float | None, high: float | None, start: float, end: float
) -> Strip | None:
    """Where an interval lies between `start` and `end`; None without an interval."""
    if low is None or high is None or end <= start:
        return None
    at = [round(100 * (x - start) / (end - start), 1) for x in (low, value, high, 0.0)]
    return Strip(at[0], at[1], at[2], at[3] if start < 0 < end else None)


def beginning(words: str, characters: int = SHOWN_CHARACTERS) -> str | None:
    """The beginning of a long text, cut between words; None when it is short enough to show."""
    if len(words) <= characters:
        return None
    return words[:characters].rsplit(maxsplit=1)[0] + " \N{HORIZONTAL ELLIPSIS}"


def image(png: bytes | None) -> str | None:
    """A plot as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}" if png else None


def _entry(value: object) -> tuple[Fact, ...]:
    if not isinstance(value, Mapping):
        return (("", text(value)),)
    facts = flatten(value)
    name = next((words for key, words in facts if key == "name"), "")
    rest = "; ".join(f"{key} {words}" for key, words in facts if key != "name")
    return ((name, rest),)


def _metric_names(facts: Facts) -> list[str]:
    return list(dict.fromkeys(name for more in facts.more.values() for name in more.metrics))


def _kinds(facts: Facts) -> Sequence[tuple[Kind, str]]:
    graded = facts.examples is not None and facts.examples.graded
    return [(kind, words[graded]) for kind, words in KINDS.items()]
