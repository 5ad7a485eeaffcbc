"""Ask one teacher: `python -m tasks.label lora`."""

from tasks import paths, records, stage
from tasks.config import Task
from tasks.label.config import LabelConfig
from tasks.params import read


def main(arguments: list[str]) -> None:
    """Read the variant's parameters, run the teacher, and write data/labels/<variant>/."""
    variant = stage.variant(arguments, "label")
    config = read(f"label.{variant}", LabelConfig)
    task = read("task", Task)
    from tasks.label.top_logits import label

    report = label(paths.labels(variant), config, task)
    records.write_report(paths.output("label", variant) / paths.REPORT, report)


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
