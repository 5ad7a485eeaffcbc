"""Convert one candidate to an engine's format and measure what that changed.

    python -m tasks.quantize small-int8

reads quantize.<variant> of params.yaml, models/<from>/ and the prepared training and validation
rows; writes models/quantize/<variant>/ with report.json.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, assert_never

from bentos.generator.prompt import Renderer
from tasks import candidate, params, paths, records, stage
from tasks.config import Task
from tasks.errors import ModelError
from tasks.examples import prompt_ids, tokenize
from tasks.quantize.config import Format, QuantizeConfig
from tasks.records import Record

if TYPE_CHECKING:
    from torch import Tensor

    from tasks.quantize.reference import NextLogits

Rows = Sequence[Sequence[int]]


class Technique(Protocol):
    """What the module of a format does."""

    def convert(
        self, parent: Path, child: Path, config: QuantizeConfig, calibration: Rows = ()
    ) -> None:
        """Write the model of folder `parent` into folder `child`."""

    def next_logits(self, folder: Path) -> "NextLogits":
        """The converted model as a function from token ids to the logits after them."""

    def restored(self, folder: Path) -> "dict[str, Tensor]":
        """The converted weights as floats, by their names in the original."""


def main(arguments: list[str]) -> None:
    """Make the variant named on the command line."""
    variant = stage.variant(arguments, "quantize")
    config = params.read(f"quantize.{variant}", QuantizeConfig)
    task = params.read("task", Task)
    prompts = records.read(paths.VALIDATION, Record)[: config.parity_rows]
    parent = paths.candidate(config.parent)
    if not (parent / "config.json").is_file():
        raise ModelError(f"{parent} holds no model; make {config.parent} first")
    rows = _rows(parent, max(config.calibration_rows, config.error_rows))
    name = f"quantize/{variant}"
    folder = candidate.fresh_folder(name)
    technique = _technique(config.format)
    started = time.monotonic()
    technique.convert(parent, folder, config, rows[: config.calibration_rows])
    seconds = time.monotonic() - started
    looked_at = paths.TRAIN if config.calibrated else paths.VALIDATION
    candidate.write(candidate.describe(name, config.parent, config, looked_at))
    report: dict[str, object] = {
        "format": config.format,
        **({"bits": config.bits} if config.bits else {"scheme": config.scheme}),
        "size_mb": round(candidate.served_bytes(folder) / 1e6, 2),
        "seconds": round(seconds, 1),
        "parity": _parity(technique, parent, folder, prompts, task),
    }
    if config.bits != 32 and config.error_rows:
        report["layers"] = _layers(technique, parent, folder, rows[: config.error_rows])
    records.write_report(folder / paths.REPORT, report)
    print(f"{name}: {report['size_mb']} MB; parity with {config.parent}: {report['parity']}")


def _technique(format_: Format) -> Technique:
    # Imported here, after the settings were checked: torch and OpenVINO take seconds to load.
    match format_:
        case "openvino":
            from tasks.quantize import openvino_ir

            return openvino_ir
        case "compressed_tensors":
            from tasks.quantize import compressed_tensors

            return compressed_tensors
        case "gguf":
            from tasks.quantize import gguf

            return gguf
        case _:
            assert_never(format_)


def _rows(parent: Path, count: int) -> Rows:
    """Token ids of training rows, prompt and answer, as the model reads and writes them."""
    rows = records.read(paths.TRAIN, Record)[:count]
    return [[*example.prompt, *example.answer] for example in tokenize(rows, parent)]


def _parity(
    technique: Technique, parent: Path, folder: Path, rows: list[Record], task: Task
) -> dict[str, object]:
    from tasks.quantize import parity, reference

    renderer = Renderer.from_folder(folder)
    return parity.parity(
        reference.next_logits(reference.load(parent)),
        technique.next_logits(folder),
        [prompt_ids(row, renderer) for row in rows],
        [renderer.encode(label)[0] for label in task.labels],
    )


def _layers(technique: Technique, parent: Path, folder: Path, rows: Rows) -> dict[str, object]:
    from tasks.quantize import layer_errors, reference

    return layer_errors.measure(reference.load(parent), technique.restored(folder), rows)


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
