"""Tell what a run measured, in one HTML page and one plot.

    python -m tasks.report

writes reports/release.html and reports/frontier.png, and copies every stage's report.json to
where git keeps it. Reads only what is there: before the gate ran the page says so.
"""

from pathlib import Path

from tasks import paths, stage
from tasks.errors import StillhouseError
from tasks.report import curves, difference, frontier
from tasks.report.facts import Facts, gather, stage_reports
from tasks.report.html import Figures, render


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
    paths.REPORTS.mkdir(parents=True, exist_ok=True)
    if figures.frontier:
        paths.FRONTIER_PNG.write_bytes(figures.frontier)
    paths.RELEASE_HTML.write_text(render(facts, figures), encoding="utf-8")
    print(f"wrote {paths.RELEASE_HTML} and {paths.FRONTIER_PNG}")


def _draw(facts: Facts) -> Figures:
    gate = facts.table.gate
    return Figures(
        frontier=frontier.draw(facts.table),
        difference=difference.draw(gate.difference, gate.margin, gate.verdict)
        if gate and gate.difference
        else None,
        curves=curves.draw(facts.curves) if facts.curves else None,
    )


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
