"""Keep what a release measured, for README to quote.

    make demo && .venv/bin/python -m benchmarks.release

copies every stage's report, the model card and the frontier of the newest finished run to
benchmarks/results/<workload>-<budget>/, and prints the table in Markdown.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from flows.stage import environment
from tasks import candidates_table, paths, stage
from tasks.errors import StillhouseError

RESULTS = Path("benchmarks/results")


def main(arguments: list[str]) -> None:
    """Copy and print; takes no arguments."""
    if arguments:
        raise StillhouseError("usage: python -m benchmarks.release (it takes no arguments)")
    root = newest_run()
    table = candidates_table.load(root)
    if table.gate is None:
        raise StillhouseError(f"{root}: the gate has written no report")
    target = RESULTS / f"{table.gate.workload}-{table.gate.budget}"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(
        root / paths.REPORTS,
        target,
        ignore=shutil.ignore_patterns(paths.RELEASE_HTML.name, paths.PLOTS.name),
    )
    print(candidates_table.markdown(table))
    print(f"\nkept in {target}")


def newest_run() -> Path:
    """The worktree of the run that ended last.

    Raises:
        StillhouseError: no run has ended here.
    """
    ended = (paths.state() / "runs").glob(f"*/{paths.RELEASE_HTML}")
    found = sorted(ended, key=lambda page: page.stat().st_mtime)
    if not found:
        raise StillhouseError("no run has ended here yet: type `make demo` first")
    return found[-1].parents[1]


def restore(root: Path, *targets: str) -> None:
    """What stages of a finished run made, or one folder of it: it is kept in DVC's cache alone."""
    command = [sys.executable, "-m", "dvc", "checkout", "--quiet", *targets]
    subprocess.run(command, cwd=root, env=environment(root), check=True, timeout=300)


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
