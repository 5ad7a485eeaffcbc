"""Train one student: `python -m tasks.distill small`."""

from typing import assert_never

from tasks import paths, records, stage
from tasks.distill.config import DistillConfig
from tasks.params import read


def main(arguments: list[str]) -> None:
    """Read the variant's parameters, train, and write models/distill/<variant>/."""
    variant = stage.variant(arguments, "distill")
    config = read(f"distill.{variant}", DistillConfig)
    match config.method:
        case "cached_logits":
            from tasks.distill.cached_logits import distill
        case "online":
            from tasks.distill.online import distill
        case "on_policy":
            from tasks.distill.on_policy import distill
        case "text":
            from tasks.distill.text import distill
        case _:
            assert_never(config.method)
    report = distill(f"distill/{variant}", config)
    records.write_report(paths.output("distill", variant) / paths.REPORT, report)


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
