"""What a finished run shows in the Prefect UI: verdict, table, reasons and plot.

## pass: small-int8 is no worse than lora-fp32 within 0.03 and 7.3x cheaper
"""

import base64
import json
from pathlib import Path

from flows.looks import Looks
from tasks import candidates_table, paths
from tasks.candidates_table import HEADER, GateReport, Table

WORDS = {
    "pass": "{chosen} is no worse than {teacher} by more than {margin:g}",
    "fail": "keep {kept}",
    "inconclusive": "keep {kept}: the locked test is too small to tell",
}


def headline(gate: GateReport) -> str:
    """The verdict in one line."""
    kept = gate.champion or gate.teacher
    words = WORDS[gate.verdict].format(
        chosen=gate.chosen, teacher=gate.teacher.name, kept=kept.name, margin=gate.margin
    )
    if gate.verdict == "pass" and gate.cost_ratio:
        words += f", at {gate.cost_ratio:.0%} of its cost"
    return f"{gate.verdict}: {words}"


def markdown(root: Path, table: Table, looks: Looks | None) -> str:
    """The whole summary, the plot inlined, so that the artifact needs no file."""
    parts = []
    if table.gate is not None:
        parts += [f"## {headline(table.gate)}", _bullets(table.gate)]
    parts += [
        _table(table),
        "Quality and cost with their 95% intervals; the chosen candidate in bold.",
        plot(root / paths.FRONTIER_PNG),
    ]
    if looks is not None:
        parts.append(f"{looks}.")
    tag = bento_tag(root)
    if tag is not None:
        parts.append(f"Bento: `{tag}`")
    for name, file in (("Report", paths.RELEASE_HTML), ("Model card", paths.MODEL_CARD)):
        if (root / file).exists():
            parts.append(f"{name}: `{(root / file).as_uri()}`")
    parts.append("Costs, requests per second, latencies and memory are timings: they vary.")
    return "\n\n".join(part for part in parts if part) + "\n"


def model_card(root: Path) -> str | None:
    """The model card without its front matter, which is for machines; None without a card."""
    if not (root / paths.MODEL_CARD).exists():
        return None
    card = (root / paths.MODEL_CARD).read_text(encoding="utf-8")
    _, _, words = card.partition("---\n")[2].partition("---\n")
    return words.strip() + "\n"


def records(table: Table) -> list[dict[str, str]]:
    """The table as one mapping per candidate, for a table artifact."""
    return [dict(zip(HEADER, row, strict=True)) for row in candidates_table.cells(table)]


def bento_tag(root: Path) -> str | None:
    """Tag of the Bento that a run packaged, or None when it packaged none."""
    for file in (root / paths.PACKAGE / paths.REPORT, root / paths.published("package")):
        if file.exists():
            tag = json.loads(file.read_text(encoding="utf-8")).get("tag")
            return str(tag) if tag else None
    return None


def _table(table: Table) -> str:
    """The table in Markdown with cells of two lines: the UI cuts off what is too wide for it."""
    name, _role, *titles = HEADER
    lines = [(name, *(title.replace(" ", "<br>", 1) for title in titles))]
    lines.append(("---",) * len(lines[0]))
    for row, texts in zip(table.rows, candidates_table.cells(table), strict=True):
        first, role, *rest = (f"**{text}**" if row.chosen else text for text in texts)
        lines.append((f"{first}<br>{role}", *(text.replace(" (", "<br>(") for text in rest)))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _bullets(gate: GateReport) -> str:
    return "\n".join(f"- {reason}" for reason in gate.reasons)


def plot(file: Path) -> str:
    """A picture of cost against quality for Markdown, inlined; empty where there is none."""
    if not file.exists():
        return ""
    encoded = base64.b64encode(file.read_bytes()).decode("ascii")
    return f"![cost against quality](data:image/png;base64,{encoded})"
