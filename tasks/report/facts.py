"""Everything that the release report tells, gathered from the files that stages left.

    facts = gather(Path("."))
    facts.table.gate.verdict        "pass"
    facts.lineage[0].name           "fetch/base"

What a stage did not leave is None or empty, and the report says that it is missing.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from tasks import candidates_table, params, paths
from tasks.candidate import FILE, Candidate
from tasks.candidates_table import Evaluation, Table
from tasks.errors import DataError
from tasks.report import data_facts, sections, side_by_side
from tasks.report.data_facts import DataFacts
from tasks.report.sections import EvaluationSections, GateSections, LoadPoint
from tasks.report.side_by_side import SideBySide
from tasks.report.words import Fact, flatten

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


class StageFacts(NamedTuple):
    """One stage's report, flattened to keys and values."""

    name: str
    facts: tuple[Fact, ...]


class Source(NamedTuple):
    """Something fetched and pinned: one base model, or the raw data.

    Attributes:
        size: of the pinned file, in bytes.
        parameters: of a model.
        rows: of the data.
    """

    name: str
    source: str
    license: str | None
    sha256: str
    size: int | None
    parameters: int | None
    rows: int | None


class Facts(NamedTuple):
    """What there is to tell.

    Attributes:
        loads: by evaluated model, timings at several loads, the lightest first.
        more: by evaluated model, what not every run measures.
        teachers: by candidate, whose stored logits it was trained on.
        parameters: number of a candidate's parameters, where its own report says it.
        settings: params.yaml, read; `params` is its text.
    """

    table: Table
    evaluations: tuple[Evaluation, ...]
    loads: Mapping[str, tuple[LoadPoint, ...]]
    more: Mapping[str, EvaluationSections]
    gate: GateSections
    examples: SideBySide | None
    data: DataFacts | None
    sources: tuple[Source, ...]
    lineage: tuple[Candidate, ...]
    teachers: Mapping[str, str]
    parameters: Mapping[str, int]
    parity: tuple[StageFacts, ...]
    stages: tuple[StageFacts, ...]
    curves: Mapping[str, Sequence[Mapping[str, float]]]
    settings: Mapping[str, Any]
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
    table = candidates_table.load(root)
    evaluations = tuple(candidates_table.evaluations(root))
    more = {each.name: sections.of_evaluation(root, each.name) for each in evaluations}
    prepared = _report(root, "prepare")
    weights = _report(root, "fetch", "weights").get("weights", {})
    settings = params.load_yaml(root / paths.PARAMS) if (root / paths.PARAMS).exists() else {}
    return Facts(
        table=table,
        evaluations=evaluations,
        loads={each.name: sections.load_curve(each, more[each.name]) for each in evaluations},
        more=more,
        gate=sections.of_gate(root),
        examples=side_by_side.gather(root, table),
        data=data_facts.of(prepared) if prepared else None,
        sources=tuple(_sources(weights, _report(root, "fetch", "data"))),
        lineage=tuple(_lineage(root)),
        teachers=dict(_teachers(settings)),
        parameters=dict(_parameters(weights, made)),
        parity=tuple(_parity(made)),
        stages=tuple(StageFacts(name, flatten(_without(report))) for name, report in made.items()),
        curves={name: curve for name, report in made.items() if (curve := _curve(report))},
        settings=settings,
        params=(root / paths.PARAMS).read_text(encoding="utf-8") if settings else None,
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
    for stage in (*MAKERS, "importance", "label", "ask", "evaluate"):
        folder = (root / paths.output(stage, "any")).parent
        found += [(stage, file.parent.name) for file in sorted(folder.glob(f"*/{paths.REPORT}"))]
    return found


def _makers(root: Path) -> Iterator[tuple[str, Path]]:
    for stage in MAKERS:
        folder = root / "models" / stage
        for file in sorted(folder.glob(f"*/{paths.REPORT}")):
            yield f"{stage}/{file.parent.name}", file


def _report(root: Path, stage: str, variant: str | None = None) -> dict[str, Any]:
    """The report of one stage, or git's copy of it; empty where there is none."""
    for file in (
        root / paths.output(stage, variant) / paths.REPORT,
        root / paths.published(stage, variant),
    ):
        if file.exists():
            return _read(file)
    return {}


def _sources(weights: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[Source]:
    found = {f"weights of fetch/{name}": told for name, told in weights.items()}
    for name, told in {**found, **({"data": data} if data else {})}.items():
        yield Source(
            name=name,
            source=str(told.get("source", "-")),
            license=told.get("license"),
            sha256=str(told.get("sha256", "-")),
            size=told.get("source_bytes"),
            parameters=told.get("parameters"),
            rows=told.get("rows"),
        )


def _teachers(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    labels = settings.get("label") or {}
    for variant, told in (settings.get("distill") or {}).items():
        teacher = told.get("teacher") or (labels.get(told.get("labels")) or {}).get("teacher")
        if teacher:
            yield f"distill/{variant}", str(teacher)


def _parameters(
    weights: Mapping[str, Any], made: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, int]]:
    for name, told in weights.items():
        if "parameters" in told:
            yield f"fetch/{name}", int(told["parameters"])
    for name, report in made.items():
        if "parameters_after" in report:
            yield name, int(report["parameters_after"])


def _read(file: Path) -> dict[str, Any]:
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
    return {key: value for key, value in report.items() if key not in {"curve", "layers", "parity"}}


def _parity(made: Mapping[str, Mapping[str, object]]) -> Iterator[StageFacts]:
    for name, report in made.items():
        parity = report.get("parity")
        if isinstance(parity, dict):
            yield StageFacts(name, flatten(parity))


def _lineage(root: Path) -> Iterator[Candidate]:
    """Every candidate, parents before what is made of them, fetched weights first."""
    found = {each.name: each for each in _candidates(root)}
    before = {name: [each.parent] if each.parent in found else [] for name, each in found.items()}
    try:
        yield from (found[str(name)] for name in TopologicalSorter(before).static_order())
    except CycleError as error:
        raise DataError(
            f"{root / 'models'}: candidates are made from each other: {error.args[1]}; "
            "run their stages again"
        ) from error


def _candidates(root: Path) -> Iterator[Candidate]:
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
