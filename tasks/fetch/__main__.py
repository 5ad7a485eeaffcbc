"""python -m tasks.fetch weights | data"""

from tasks import params, paths, records, stage
from tasks.errors import StillhouseError
from tasks.fetch.config import Fetch


def main(arguments: list[str]) -> None:
    """Fetch what the one argument names."""
    config = params.read("fetch", Fetch)
    match arguments:
        case ["weights"]:
            from tasks.fetch import weights

            report: dict[str, object] = {"weights": weights.fetch(config.weights)}
        case ["data"]:
            from tasks.fetch import data

            report = data.fetch(config.data)
        case _:
            raise StillhouseError("usage: python -m tasks.fetch weights|data")
    records.write_report(paths.output("fetch", arguments[0]) / paths.REPORT, report)


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
