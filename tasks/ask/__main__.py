"""Collect a remote model's answers: `python -m tasks.ask large`."""

from tasks import paths, records, stage
from tasks.ask.config import AskConfig
from tasks.config import Task
from tasks.params import read
from tasks.remote_config import RemoteConfig


def main(arguments: list[str]) -> None:
    """Ask it training requests; write data/answers/<variant>/."""
    variant = stage.variant(arguments, "ask")
    config = read(f"ask.{variant}", AskConfig)
    remote = read(f"remote.{config.teacher}", RemoteConfig)
    task = read("task", Task)
    from tasks.ask.answers import ask

    report = ask(paths.answers(variant), variant, config, remote, task)
    records.write_report(paths.output("ask", variant) / paths.REPORT, report)


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
