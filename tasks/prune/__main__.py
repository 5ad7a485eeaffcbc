"""Prune one variant: `python -m tasks.prune depth16`."""

from typing import assert_never

from tasks import paths, records, stage
from tasks.params import read
from tasks.prune.config import PruneConfig


def main(arguments: list[str]) -> None:
    """Read the variant's parameters, prune, and write models/prune/<variant>/."""
    variant = stage.variant(arguments, "prune")
    config = read(f"prune.{variant}", PruneConfig)
    match config.method:
        case "depth":
            from tasks.prune.depth import prune
        case "neurons":
            from tasks.prune.neurons import prune
        case "heads":
            from tasks.prune.heads import prune
        case "channels":
            from tasks.prune.channels import prune
        case "combined":
            from tasks.prune.combined import prune
        case "vocabulary":
            from tasks.prune.vocabulary import prune
        case _:
            assert_never(config.method)
    report = prune(f"prune/{variant}", config)
    records.write_report(paths.output("prune", variant) / paths.REPORT, report)


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
