"""python -m tasks.prepare"""

from tasks import params, paths, records, stage
from tasks.config import Task
from tasks.errors import StillhouseError
from tasks.prepare import pipeline
from tasks.prepare.config import Prepare


def main(arguments: list[str]) -> None:
    """Prepare the data that params.yaml describes."""
    if arguments:
        raise StillhouseError("usage: python -m tasks.prepare")
    config, task = params.read("prepare", Prepare), params.read("task", Task)
    records.write_report(paths.PREPARED / paths.REPORT, pipeline.run(config, task))


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
