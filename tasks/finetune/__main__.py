"""Fine-tune one variant: `python -m tasks.finetune lora`."""

from typing import assert_never

from tasks import paths, records, stage
from tasks.finetune.config import FinetuneConfig
from tasks.params import read


def main(arguments: list[str]) -> None:
    """Read the variant's parameters, train, and write models/finetune/<variant>/."""
    variant = stage.variant(arguments, "finetune")
    config = read(f"finetune.{variant}", FinetuneConfig)
    match config.method:
        case "lora":
            from tasks.finetune.lora import finetune
        case "qlora":
            from tasks.finetune.qlora import finetune
        case "full":
            from tasks.finetune.full import finetune
        case _:
            assert_never(config.method)
    report = finetune(f"finetune/{variant}", config)
    records.write_report(paths.output("finetune", variant) / paths.REPORT, report)


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
