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
        candidates_table.markdown(table),
        "Quality and cost with their 95% intervals; the chosen candidate in bold.",
        _plot(root / paths.FRONTIER_PNG),
    ]
    if looks is not None:
        parts.append(f"{looks}.")
    tag = bento_tag(root)
    if tag is not None:
        parts.append(f"Bento: `{tag}`")
    if (root / paths.RELEASE_HTML).exists():
        parts.append(f"Report: `{(root / paths.RELEASE_HTML).as_uri()}`")
    return "\n\n".join(part for part in parts if part) + "\n"


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


def _bullets(gate: GateReport) -> str:
    return "\n".join(f"- {reason}" for reason in gate.reasons)


def _plot(file: Path) -> str:
    if not file.exists():
        return ""
    encoded = base64.b64encode(file.read_bytes()).decode("ascii")
    return f"![cost against quality](data:image/png;base64,{encoded})"
