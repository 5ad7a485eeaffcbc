"""The model card of a release, from measured facts alone, under the headings of Hugging Face.

Path("model-card.md").write_text(render(facts))

---
license: apache-2.0
pipeline_tag: text-classification
model-index: [...]
---
# sentiment: small-int8
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from tasks.candidates_table import GateReport, TableRow
from tasks.report.facts import Facts
from tasks.report.html import SliceRow, environment, slices, told
from tasks.report.words import percent

TEMPLATE = "model-card.md.jinja"
PIPELINES = {"classification": "text-classification"}
HUB = "hf:"


class Worst(NamedTuple):
    """The slice on which the candidate did worst."""

    name: str
    n: int
    quality: str
    where: str


def render(facts: Facts) -> str:
    """The whole card. Where nothing was released it says so, and why."""
    gate = facts.table.gate
    task = facts.settings.get("task") or {}
    return (
        environment()
        .get_template(TEMPLATE)
        .render(
            front=yaml.safe_dump(front_matter(facts), sort_keys=False, allow_unicode=True),
            facts=facts,
            gate=gate,
            row=chosen(facts),
            task=task,
            prompt=_fenced(yaml.safe_dump(task["prompt"], allow_unicode=True, width=90))
            if task.get("prompt")
            else None,
            weights=[each for each in facts.sources if each.name != "data"],
            data=next((each for each in facts.sources if each.name == "data"), None),
            steps=list(steps(facts)),
            worst=worst_slice(facts),
            ledger=told(facts.gate.ledger),
        )
    )


def front_matter(facts: Facts) -> dict[str, Any]:
    """What machines read: licence, task, what it was made from, and the measured result."""
    gate, row = facts.table.gate, chosen(facts)
    task = facts.settings.get("task") or {}
    weights = [each for each in facts.sources if each.name != "data"]
    licenses = sorted({each.license.lower() for each in weights if each.license})
    front: dict[str, Any] = {"license": licenses[0] if len(licenses) == 1 else "other"}
    if front["license"] == "other":
        front["license_name"] = ", ".join(licenses) or "not stated"
    front["pipeline_tag"] = PIPELINES.get(str(task.get("kind")), "text-generation")
    if row is not None:
        front["library_name"] = row.engine
    hub = [each.source.removeprefix(HUB) for each in weights if each.source.startswith(HUB)]
    if hub:
        front["base_model"] = [source.partition("@")[0] for source in hub]
    front["tags"] = ["stillhouse", *([gate.workload] if gate else [])]
    if gate is not None and gate.candidate is not None:
        front["model-index"] = [_result(gate, str(front["pipeline_tag"]))]
    return front


def chosen(facts: Facts) -> TableRow | None:
    """The candidate that was put to the locked test, as it was evaluated."""
    return next((row for row in facts.table.rows if row.chosen), None)


def steps(facts: Facts) -> Iterator[str]:
    """How the candidate was made: its ancestors from the fetched weights on, each in a sentence."""
    row = chosen(facts)
    known = {each.name: each for each in facts.lineage}
    name = row.candidate if row else None
    found = []
    while name in known:
        each = known[name]
        teacher = facts.teachers.get(each.name)
        words = f"`{each.name}`"
        words += f" from `{each.parent}`" if each.parent else ", fetched"
        words += f", trained on the stored logits of `{teacher}`" if teacher else ""
        parameters = facts.parameters.get(each.name)
        words += f", {parameters:,} parameters" if parameters else ""
        found.append(f"{words} (parameters `{each.params_sha256[:12]}`)")
        name = each.parent
    yield from reversed(found)


def worst_slice(facts: Facts) -> Worst | None:
    """On the locked test where slices were measured there, else on validation."""
    if facts.gate.slices:
        worst = min(facts.gate.slices, key=lambda each: (each.candidate, each.field, each.value))
        name = f"{worst.field}: {worst.value}"
        return Worst(name, worst.n, percent(worst.candidate), "the locked test")
    measured = [each for each in slices(facts) if each.candidate is not None]
    if not measured:
        return None
    low = min(measured, key=_quality)
    return Worst(f"{low.field}: {low.value}", low.n, percent(_quality(low)), "validation")


def _quality(row: SliceRow) -> float:
    return row.candidate.value if row.candidate else 1.0


def _result(gate: GateReport, pipeline: str) -> dict[str, Any]:
    side = gate.candidate or gate.teacher
    return {
        "name": f"{gate.workload}-{side.name}",
        "results": [
            {
                "task": {"type": pipeline},
                "dataset": {"name": f"{gate.workload}, locked test", "type": gate.workload},
                "metrics": [
                    {
                        "type": side.quality.metric,
                        "value": round(side.quality.value, 4),
                        "name": f"{side.quality.metric} on {side.quality.n} items, 95% interval "
                        f"{side.quality.low:.4f} to {side.quality.high:.4f}",
                    }
                ],
            }
        ],
    }


def _fenced(words: str) -> str:
    """A block that Markdown shows as it stands: its fence is longer than any inside."""
    longest = max((len(found) for found in re.findall("`+", words)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}yaml\n{words}{fence}"
