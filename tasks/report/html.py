"""The release report as one HTML file that needs no network.

Path("release.html").write_text(render(facts, figures))
"""

import base64
from pathlib import Path
from typing import NamedTuple

import jinja2

from tasks import candidates_table
from tasks.candidates_table import GateReport
from tasks.report.facts import Facts, text

TEMPLATE = "release.html.jinja"
HEADLINES = {
    "pass": "Pass",
    "fail": "Keep the teacher",
    "inconclusive": "Inconclusive",
}


class Figures(NamedTuple):
    """PNG bytes of the plots; None where there is nothing to draw."""

    frontier: bytes | None
    difference: bytes | None
    curves: bytes | None


def render(facts: Facts, figures: Figures) -> str:
    """The whole page. Text from files is escaped; plots are embedded."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "money": candidates_table.money,
        "times": candidates_table.times,
        "percent": percent,
        "points": points,
        "rounded": rounded,
        "text": text,
    }
    gate = facts.table.gate
    return environment.get_template(TEMPLATE).render(
        facts=facts,
        gate=gate,
        table=facts.table,
        headline=_headline(gate),
        summary=_summary(gate),
        images={name: _image(png) for name, png in figures._asdict().items()},
        performance=facts.evaluations[0].performance if facts.evaluations else None,
        price=facts.evaluations[0].cost.price_per_hour if facts.evaluations else None,
        hashes={each.name: each.model_hash for each in facts.evaluations},
    )


def percent(share: float) -> str:
    """A share as percentage with one decimal: 90.8%."""
    return f"{100 * share:.1f}%"


def points(share: float) -> str:
    """A signed difference in percentage points with its sign: +0.4."""
    return f"{100 * share:+.1f}".replace("-", "\N{MINUS SIGN}")


def rounded(value: float | None) -> str:
    """A measurement with three significant digits: 7,300 or 18.9; "-" when not measured."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _headline(gate: GateReport | None) -> str:
    return HEADLINES[gate.verdict] if gate else "No verdict yet"


def _summary(gate: GateReport | None) -> str:
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


def _image(png: bytes | None) -> str | None:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}" if png else None
