"""Evaluate one entry: `python -m tasks.evaluate small-int8`."""

from tasks import paths, records, stage
from tasks.config import Task
from tasks.evaluate.config import EntryConfig
from tasks.measure import MeasureConfig
from tasks.params import read


def main(arguments: list[str]) -> None:
    """Ask the entry's engine every validation request; write data/evaluate/<name>/."""
    name = stage.variant(arguments, "evaluate")
    entry = read(f"evaluate.candidates.{name}", EntryConfig)
    measure = read("evaluate.measure", MeasureConfig)
    task = read("task", Task)
    from tasks.evaluate.served import evaluate

    predictions, report = evaluate(name, entry, measure, task)
    folder = paths.evaluation(name)
    records.write(folder / paths.PREDICTIONS, predictions)
    records.write_report(folder / paths.REPORT, report)


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
