"""Everything that the release report tells, gathered from the files that stages left.

    facts = gather(Path("."))
    facts.table.gate.verdict        "pass"
    facts.lineage[0].name           "fetch/base"

What a stage did not leave is None or empty, and the report says that it is missing.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from tasks import candidates_table, paths
from tasks.candidate import FILE, Candidate
from tasks.candidates_table import Evaluation, Table
from tasks.errors import DataError

LIBRARIES = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "openvino",
    "openvino-genai",
    "openvino-tokenizers",
    "nncf",
    "scikit-learn",
    "scipy",
    "dvc",
    "bentoml",
    "prefect",
)
MAKERS = ("finetune", "prune", "distill", "quantize")
LONGEST_LIST = 12

Fact = tuple[str, str]


class StageFacts(NamedTuple):
    """One stage's report, flattened to keys and values."""

    name: str
    facts: tuple[Fact, ...]


class Facts(NamedTuple):
    """What there is to tell."""

    table: Table
    evaluations: tuple[Evaluation, ...]
    data: tuple[Fact, ...]
    lineage: tuple[Candidate, ...]
    parity: tuple[StageFacts, ...]
    stages: tuple[StageFacts, ...]
    curves: Mapping[str, Sequence[Mapping[str, float]]]
    params: str | None
    commit: str | None
    hardware: tuple[Fact, ...]
    libraries: tuple[Fact, ...]


def gather(root: Path) -> Facts:
    """Read all reports below `root`.

    Raises:
        DataError: a report that cannot be read, with the file's name.
    """
    made = {name: _read(file) for name, file in _makers(root)}
    evaluations = tuple(candidates_table.evaluations(root))
    data = root / paths.PREPARED / paths.REPORT
    params = root / paths.PARAMS
    return Facts(
        table=candidates_table.load(root),
        evaluations=evaluations,
        data=flatten(_read(data)) if data.exists() else (),
        lineage=tuple(_lineage(root)),
        parity=tuple(_parity(made)),
        stages=tuple(StageFacts(name, flatten(_without(report))) for name, report in made.items()),
        curves={name: curve for name, report in made.items() if (curve := _curve(report))},
        params=params.read_text(encoding="utf-8") if params.exists() else None,
        commit=_commit(root),
        hardware=flatten(evaluations[0].hardware) if evaluations else (),
        libraries=tuple(_libraries()),
    )


def stage_reports(root: Path) -> list[tuple[str, str | None]]:
    """Every (stage, variant) that left a report below `root`."""
    found: list[tuple[str, str | None]] = []
    known: list[tuple[str, str | None]] = [("fetch", "weights"), ("fetch", "data")]
    known += [("prepare", None), ("gate", None), ("package", None)]
    for stage, variant in known:
        if (root / paths.output(stage, variant) / paths.REPORT).exists():
            found.append((stage, variant))
    for stage in (*MAKERS, "label", "evaluate"):
        folder = (root / paths.output(stage, "any")).parent
        found += [(stage, file.parent.name) for file in sorted(folder.glob(f"*/{paths.REPORT}"))]
    return found


def flatten(content: Mapping[str, object], prefix: str = "") -> tuple[Fact, ...]:
    """Nested values as dotted keys with their text; long lists are counted, not shown."""
    facts: list[Fact] = []
    for key, value in content.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            facts += flatten(value, f"{prefix}{key}: ")
        elif isinstance(value, list):
            facts.append((name, _listed(value)))
        else:
            facts.append((name, text(value)))
    return tuple(facts)


def text(value: object) -> str:
    """A single value for a reader: thousands separated, four significant digits."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
        case _:
            return str(value)


def _listed(values: list[object]) -> str:
    if len(values) > LONGEST_LIST or any(isinstance(value, dict | list) for value in values):
        return f"{len(values):,} entries"
    return ", ".join(text(value) for value in values)


def _makers(root: Path) -> Iterator[tuple[str, Path]]:
    for stage in MAKERS:
        folder = root / "models" / stage
        for file in sorted(folder.glob(f"*/{paths.REPORT}")):
            yield f"{stage}/{file.parent.name}", file


def _read(file: Path) -> dict[str, object]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise DataError(f"{file}: not JSON: {error}; run its stage again") from error
    if not isinstance(content, dict):
        raise DataError(f"{file}: must hold a JSON object; run its stage again")
    return content


def _curve(report: Mapping[str, object]) -> list[Mapping[str, float]]:
    curve = report.get("curve")
    return [entry for entry in curve if isinstance(entry, dict)] if isinstance(curve, list) else []


def _without(report: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in report.items() if key not in {"curve", "parity"}}


def _parity(made: Mapping[str, Mapping[str, object]]) -> Iterator[StageFacts]:
    for name, report in made.items():
        parity = report.get("parity")
        if isinstance(parity, dict):
            yield StageFacts(name, flatten(parity))


def _lineage(root: Path) -> Iterator[Candidate]:
    """Every candidate, parents before what is made of them, fetched weights first."""
    for stage in ("fetch", *MAKERS):
        for file in sorted((root / "models" / stage).glob(f"*/{FILE}")):
            try:
                yield Candidate.model_validate_json(file.read_text(encoding="utf-8"))
            except ValidationError as error:
                raise DataError(f"{file}: not a candidate's lineage: {error}") from error


def _libraries() -> Iterator[Fact]:
    for name in LIBRARIES:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            yield name, "not installed"


def _commit(root: Path) -> str | None:
    command = ["git", "-C", str(root), "log", "-1", "--format=%H of %cI"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None
