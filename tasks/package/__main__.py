"""Package the chosen candidate, if the gate passed it.

    python -m tasks.package

reads data/gate/report.json, writes models/package/<workload>.tar and models/package/report.json.
Without a pass it writes the report alone, says why, and ends well.
"""

import shutil
from pathlib import Path

from pydantic import ValidationError

from bentos.generator.serving import Facts, Serving
from tasks import bento_store, bill, candidate, params, paths, records, stage
from tasks.candidate import Candidate
from tasks.candidates_table import GateReport, Side
from tasks.config import Task
from tasks.errors import DataError, ModelError, StillhouseError
from tasks.package import bento, parity
from tasks.package.config import PackageConfig

GATE_REPORT = paths.GATE / paths.REPORT
SHORT_HASH = 12


def main(arguments: list[str]) -> None:
    """Build the Bento or say why there is none."""
    if arguments:
        raise StillhouseError("usage: python -m tasks.package (it takes no arguments)")
    config = params.read("package", PackageConfig)
    task = params.read("task", Task)
    gate = _read_gate(GATE_REPORT)
    shutil.rmtree(paths.PACKAGE, ignore_errors=True)
    paths.PACKAGE.mkdir(parents=True)
    report: dict[str, object] = {"workload": gate.workload, "verdict": gate.verdict}
    if gate.verdict == "pass" and gate.candidate is not None:
        report |= _package(gate, gate.candidate, task, config)
        print(f"packaged {report['tag']}: {report['archive']}, {report['size_mb']} MB")
    else:
        report |= {"tag": None, "why": f"the gate's verdict is {gate.verdict}"}
        report["reasons"] = list(gate.reasons)
        print(f"nothing packaged: the gate's verdict is {gate.verdict}")
    records.write_report(paths.PACKAGE / paths.REPORT, report)


def _package(
    gate: GateReport, chosen: Side, task: Task, config: PackageConfig
) -> dict[str, object]:
    engine = next((each for each in bento.SUFFIX if each == chosen.engine), None)
    if chosen.candidate is None or engine is None:
        raise ModelError(
            f"{GATE_REPORT}: {chosen.name} runs in {chosen.engine}, and a Bento serves "
            f"{' or '.join(bento.SUFFIX)}; add a quantize variant of it (bits: 32 only converts) "
            "and evaluate that"
        )
    folder = paths.candidate(chosen.candidate)
    if not folder.is_dir():
        raise ModelError(f"{folder}: missing; run `dvc pull` or the stage that makes it again")
    serving = Serving(
        workload=gate.workload,
        model_name=gate.workload,
        engine=engine,
        input_fields=task.input_fields,
        prompt=task.prompt,
        decoding=task.decoding(),
        prefix_caching=config.prefix_caching,
        limits=config.limits,
        feedback=config.feedback,
        files=bento.hashes(folder),
        facts=Facts(
            candidate=chosen.candidate,
            commit=_commit(folder),
            data_hash=gate.data_hash,
            model_hash=chosen.model_hash,
            metric=task.primary_metric,
            quality=chosen.quality.value,
            cost_per_1000_requests=chosen.cost_per_1000,
            teacher_cost_per_1000_requests=gate.teacher.cost_per_1000,
            currency=gate.currency,
        ),
    )
    labels = _labels(serving)
    # Not .bento, which is compressed: that took a minute to make weights a seventh smaller.
    archive = paths.PACKAGE / f"{gate.workload}.tar"
    built = bento.build(folder, serving, labels, archive)
    bill.write(paths.PACKAGE / bill.FILE, built.tag, bento.requirements(engine), serving.files)
    evaluated = paths.evaluation(chosen.name)
    return {
        "parity": parity.check(built.tag, bento_store.home(), folder, evaluated, task, config),
        "tag": built.tag,
        "archive": str(archive),
        "candidate": chosen.candidate,
        "size_mb": round(built.archive_mb, 2),
        "size_without_model_mb": round(built.code_mb, 3),
        "labels": labels,
    }


def _labels(serving: Serving) -> dict[str, str]:
    facts = serving.facts
    labels = {
        "workload": serving.workload,
        "candidate": facts.candidate,
        "commit": (facts.commit or "")[:SHORT_HASH],
        "data_hash": (facts.data_hash or "")[:SHORT_HASH],
        "quality": f"{facts.quality:.4f}",
        "cost_per_1000": f"{facts.cost_per_1000_requests:.6f}",
    }
    return {key: value for key, value in labels.items() if value}


def _commit(folder: Path) -> str | None:
    """The commit that made the candidate, from its lineage."""
    file = folder / candidate.FILE
    if not file.is_file():
        return None
    return Candidate.model_validate_json(file.read_bytes()).commit


def _read_gate(file: Path) -> GateReport:
    if not file.is_file():
        raise DataError(f"{file}: missing; run `python -m tasks.gate` first")
    try:
        return GateReport.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise DataError(f"{file}: not a gate report: {error}") from error


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
