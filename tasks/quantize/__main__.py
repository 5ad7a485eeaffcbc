"""Convert one candidate to an engine's format and measure what that changed.

    python -m tasks.quantize small-int8

reads quantize.<variant> of params.yaml, models/<from>/ and the prepared validation rows; writes
models/quantize/<variant>/ with report.json.
"""

import time
from pathlib import Path
from typing import assert_never

from bentos.generator.prompt import Renderer
from tasks import candidate, params, paths, records, stage
from tasks.config import Task
from tasks.errors import ModelError
from tasks.examples import prompt_ids
from tasks.quantize.config import QuantizeConfig
from tasks.records import Record


def main(arguments: list[str]) -> None:
    """Make the variant named on the command line."""
    variant = stage.variant(arguments, "quantize")
    config = params.read(f"quantize.{variant}", QuantizeConfig)
    task = params.read("task", Task)
    rows = records.read(paths.VALIDATION, Record)[: config.parity_rows]
    parent = paths.candidate(config.parent)
    if not (parent / "config.json").is_file():
        raise ModelError(f"{parent} holds no model; make {config.parent} first")
    name = f"quantize/{variant}"
    folder = candidate.fresh_folder(name)
    started = time.monotonic()
    match config.format:
        case "openvino":
            from tasks.quantize import openvino_ir

            openvino_ir.convert(parent, folder, config)
        case _:
            assert_never(config.format)
    seconds = time.monotonic() - started
    candidate.write(candidate.describe(name, config.parent, config, paths.VALIDATION))
    report: dict[str, object] = {
        "bits": config.bits,
        "format": config.format,
        "size_mb": round(candidate.served_bytes(folder) / 1e6, 2),
        "seconds": round(seconds, 1),
        "parity": _parity(parent, folder, rows, task),
    }
    records.write_report(folder / paths.REPORT, report)
    print(f"{name}: {report['size_mb']} MB; parity with {config.parent}: {report['parity']}")


def _parity(parent: Path, folder: Path, rows: list[Record], task: Task) -> dict[str, object]:
    # Imported here, after the settings were checked: torch and OpenVINO take seconds to load.
    from tasks.quantize import openvino_ir, parity

    renderer = Renderer.from_folder(folder)
    return parity.parity(
        openvino_ir.load_reference(parent),
        folder,
        [prompt_ids(row, renderer) for row in rows],
        [renderer.encode(label)[0] for label in task.labels],
    )


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
