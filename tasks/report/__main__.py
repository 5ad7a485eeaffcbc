"""Tell what a run measured: one HTML page, a model card and plots.

    python -m tasks.report

writes reports/release.html, model-card.md, frontier.png and plots/, and copies every stage's
report.json to where git keeps it. Reads only what is there: before the gate ran the page says so.
"""

import shutil
from pathlib import Path

from tasks import paths, stage
from tasks.candidates_table import TableRow
from tasks.errors import StillhouseError
from tasks.report import curves, difference, frontier, latency, lineage, model_card
from tasks.report.facts import Facts, gather, stage_reports
from tasks.report.html import Figures, render
from tasks.report.words import percent


def main(arguments: list[str]) -> None:
    """Write the report of the run in the current folder."""
    if arguments:
        raise StillhouseError("usage: python -m tasks.report (it takes no arguments)")
    root = Path()
    facts = gather(root)
    if not facts.table.rows:
        raise StillhouseError(
            "data/evaluate: nothing was evaluated; run `python -m tasks.evaluate` first"
        )
    for name, variant in stage_reports(root):
        paths.publish(root, name, variant)
    figures = _draw(facts)
    _write_plots(figures)
    paths.RELEASE_HTML.write_text(render(facts, figures), encoding="utf-8")
    paths.MODEL_CARD.write_text(model_card.render(facts), encoding="utf-8")
    print(f"wrote {paths.RELEASE_HTML}, {paths.MODEL_CARD}, {paths.FRONTIER_PNG}, {paths.PLOTS}")


def _draw(facts: Facts) -> Figures:
    gate = facts.table.gate
    loads = [
        latency.Line(row, curve) for row in facts.table.rows if (curve := facts.loads[row.name])
    ]
    return Figures(
        frontier=frontier.draw(facts.table),
        difference=difference.draw(gate.difference, gate.margin, gate.verdict)
        if gate and gate.difference
        else None,
        curves=curves.draw(facts.curves) if facts.curves else None,
        lineage=lineage.draw(_nodes(facts)) if facts.lineage else None,
        latency=latency.draw(loads) if loads else None,
    )


def _nodes(facts: Facts) -> list[lineage.Node]:
    evaluated = {row.candidate: row for row in facts.table.rows if row.candidate}
    return [
        lineage.Node(
            name=each.name,
            parent=each.parent,
            teacher=facts.teachers.get(each.name),
            note=_size(evaluated.get(each.name), facts.parameters.get(each.name)),
            role=_role(evaluated.get(each.name)),
        )
        for each in facts.lineage
    ]


def _size(row: TableRow | None, parameters: int | None) -> str | None:
    if row is not None and row.size_mb is not None:
        return f"{row.size_mb:,.0f} MB, {percent(row.quality.value)}"
    return f"{parameters / 1e6:,.1f} M parameters" if parameters else None


def _role(row: TableRow | None) -> lineage.Role:
    if row is None or (row.role != "teacher" and not row.chosen):
        return "plain"
    return "chosen" if row.chosen else "teacher"


def _write_plots(figures: Figures) -> None:
    """The frontier where README and the Prefect UI look for it, the others in a folder beside."""
    shutil.rmtree(paths.PLOTS, ignore_errors=True)
    paths.PLOTS.mkdir(parents=True)
    for name, png in figures._asdict().items():
        if png is not None:
            file = paths.FRONTIER_PNG if name == "frontier" else paths.PLOTS / f"{name}.png"
            file.write_bytes(png)


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
