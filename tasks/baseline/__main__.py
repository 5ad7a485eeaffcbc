"""Train and evaluate one baseline: `python -m tasks.baseline tfidf`."""

from tasks import paths, records, stage
from tasks.baseline.config import BaselineConfig
from tasks.config import Task
from tasks.measure import MeasureConfig
from tasks.params import read


def main(arguments: list[str]) -> None:
    """Train on the training rows, answer the validation rows; write data/evaluate/<name>/."""
    name = stage.variant(arguments, "baseline")
    config = read(f"baseline.{name}", BaselineConfig)
    measure = read("evaluate.measure", MeasureConfig)
    task = read("task", Task)
    from tasks.baseline.rival import evaluate

    predictions, report = evaluate(name, config, measure, task)
    folder = paths.evaluation(name)
    records.write(folder / paths.PREDICTIONS, predictions)
    records.write_report(folder / paths.REPORT, report)


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
