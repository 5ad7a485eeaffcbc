"""Weigh one model's parts: `python -m tasks.importance lora`."""

from tasks import paths, records, stage
from tasks.importance.config import ImportanceConfig
from tasks.params import read


def main(arguments: list[str]) -> None:
    """Read the variant's parameters, run the model, and write data/importance/<variant>/."""
    variant = stage.variant(arguments, "importance")
    config = read(f"importance.{variant}", ImportanceConfig)
    from tasks.importance.weigh import weigh

    report = weigh(paths.importance(variant), config)
    records.write_report(paths.output("importance", variant) / paths.REPORT, report)


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
