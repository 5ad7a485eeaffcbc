"""Evaluate a remote model: `python -m tasks.remote teacher`."""

from tasks import paths, records, stage
from tasks.config import Task
from tasks.measure import MeasureConfig
from tasks.params import read
from tasks.remote_config import RemoteConfig


def main(arguments: list[str]) -> None:
    """Ask it every validation request; write data/evaluate/<name>/."""
    name = stage.variant(arguments, "remote")
    config = read(f"remote.{name}", RemoteConfig)
    measure = read("evaluate.measure", MeasureConfig)
    task = read("task", Task)
    from tasks.remote.by_token import evaluate

    predictions, report = evaluate(name, config, measure, task)
    folder = paths.evaluation(name)
    records.write(folder / paths.PREDICTIONS, predictions)
    records.write_report(folder / paths.REPORT, report)


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
