"""Choose on validation, look at the locked test once, say pass, fail or inconclusive.

    python -m tasks.gate

reads data/evaluate/*/ and data/locked/test.jsonl, writes data/gate/report.json and
data/gate/predictions.jsonl. Every verdict exits with 0; the verdict is in the report.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tasks import candidate as lineage
from tasks import candidates_table, params, paths, records, stage
from tasks.candidates_table import Evaluation, GateReport, JudgeSummary
from tasks.config import Task
from tasks.errors import DataError, StillhouseError
from tasks.gate import judge
from tasks.gate.config import GateConfig, JudgeConfig
from tasks.gate.decide import Answers, Run, decide
from tasks.gate.locked_test import answer
from tasks.gate.selection import Evaluated
from tasks.records import Prediction, Record


def main(arguments: list[str]) -> None:
    """Run the gate and write its report."""
    if arguments:
        raise StillhouseError("usage: python -m tasks.gate (it takes no arguments)")
    config = params.read("gate", GateConfig)
    task = params.read("task", Task)
    reports = candidates_table.evaluations(Path())
    run = Run(
        workload=params.read_text("workload"),
        budget=params.read_text("budget"),
        task=task,
        evaluated={report.name: _evaluated(report) for report in reports},
        locked_test=paths.LOCKED_TEST,
        data_hash=lineage.sha256(paths.PREPARED),
    )

    def answered(report: Evaluation, items: Sequence[Record]) -> Sequence[Prediction]:
        return answer(report, items, task)

    # Before the locked test is looked at: a key may be missing.
    ask = judge.client(config.judge) if config.judge else None
    decision = decide(run, config, answered)
    report = decision.report
    if config.judge and ask and report.chosen:
        report = _with_opinion(run, report, config.judge, ask)
    records.write(paths.GATE / paths.PREDICTIONS, _rows(decision.answers))
    records.write_report(paths.GATE / paths.REPORT, report.model_dump(mode="json"))
    print(f"verdict: {report.verdict}")
    print("".join(f"- {reason}\n" for reason in report.reasons), end="")


def _with_opinion(run: Run, report: GateReport, config: JudgeConfig, ask: judge.Ask) -> GateReport:
    """The report with the judge's opinion; where there is none, the verdict stands without it."""
    try:
        return report.model_copy(update={"judge": _judged(run, report, config, ask)})
    except DataError as error:
        reasons = (*report.reasons, f"the judge was not heard: {error}")
        return report.model_copy(update={"reasons": reasons})


def _judged(run: Run, report: GateReport, config: JudgeConfig, ask: judge.Ask) -> JudgeSummary:
    teacher, candidate = (
        {each.id: each for each in run.evaluated[name].predictions}
        for name in (report.teacher.name, str(report.chosen))
    )
    items = [
        item
        for item in records.read(paths.VALIDATION, Record)
        if item.id in teacher and item.id in candidate
    ]
    return judge.judge(items, teacher, candidate, config, ask)


def _evaluated(report: Evaluation) -> Evaluated:
    file = paths.evaluation(report.name) / paths.PREDICTIONS
    if not file.exists():
        raise DataError(f"{file}: missing; run `python -m tasks.evaluate {report.name}` again")
    return Evaluated(report, records.read(file, Prediction))


def _rows(answers: Answers) -> Iterator[dict[str, object]]:
    for name, predictions in answers.items():
        for prediction in predictions:
            yield {"name": name, **prediction.model_dump(exclude_none=True)}


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
