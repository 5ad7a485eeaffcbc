"""Fine-tune one variant: `python -m tasks.finetune lora`."""

from tasks import paths, records, stage
from tasks.finetune.config import FinetuneConfig
from tasks.params import read


def main(arguments: list[str]) -> None:
    """Read the variant's parameters, train, and write models/finetune/<variant>/."""
    variant = stage.variant(arguments, "finetune")
    config = read(f"finetune.{variant}", FinetuneConfig)
    from tasks.finetune.lora import finetune

    report = finetune(f"finetune/{variant}", config)
    records.write_report(paths.output("finetune", variant) / paths.REPORT, report)


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
