"""Calibrate one router, and say whether it is worth having: `python -m tasks.route cascade`.

Reads data/evaluate/*/, writes data/route/<variant>/router.json and report.json. That no router is
recommended is a result like any other.
"""

from tasks import params, paths, records, stage
from tasks.route.config import RouteConfig


def main(arguments: list[str]) -> None:
    """Calibrate on a part of the validation rows, judge on the others."""
    name = stage.variant(arguments, "route")
    config = params.read(f"route.{name}", RouteConfig)
    workload = params.read_text("workload")
    from bentos.router import calibration
    from tasks.route import calibrate

    found, report = calibrate.calibrate(workload, config)
    folder = paths.route(name)
    folder.mkdir(parents=True, exist_ok=True)
    calibration.write(found, folder)
    records.write_report(folder / paths.REPORT, report)
    print(found.why)


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
