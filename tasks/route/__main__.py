"""Calibrate one router, and say whether it is worth having: `python -m tasks.route cascade`.

Reads data/evaluate/*/, writes data/route/<variant>/router.json, report.json and, where a router is
recommended, its Bento and its bill of materials. That none is recommended is a result, too.
"""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tasks import bento_store, params, paths, records, stage
from tasks.config import Task
from tasks.route.config import RouteConfig

if TYPE_CHECKING:
    from bentos.router.calibration import Calibration


def main(arguments: list[str]) -> None:
    """Calibrate on a part of the validation rows, judge on the others."""
    name = stage.variant(arguments, "route")
    config = params.read(f"route.{name}", RouteConfig)
    workload, prompt = params.read_text("workload"), params.read("task", Task).prompt
    from bentos.router import calibration
    from tasks.route import calibrate

    system = prompt.fixed_system if prompt else None
    found, report = calibrate.calibrate(workload, config, system)
    folder = paths.route(name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    calibration.write(found, folder)
    if found.recommended:
        report |= {"tag": _packaged(folder, found)}
    records.write_report(folder / paths.REPORT, report)
    print(found.why)


def _packaged(folder: Path, found: "Calibration") -> str:
    """Build the router's Bento, with its bill of materials; its tag."""
    from bentos.router import calibration
    from tasks import bill

    def fill(service: Path) -> None:
        target = service / "calibration"
        target.mkdir()
        calibration.write(found, target)

    labels = {"workload": found.workload, "models": "-".join(found.models)}
    archive = folder / f"{found.workload}-router.tar"
    tag = bento_store.build("router", f"{found.workload}-router", fill, labels, archive).tag
    requirements = bento_store.SOURCE / "bentos/router/requirements.txt"
    bill.write(folder / bill.FILE, tag, requirements, model={})
    return tag


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
