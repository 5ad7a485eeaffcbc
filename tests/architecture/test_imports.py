"""Who may import whom is kept by `lint-imports` (contracts in pyproject.toml); the rest is here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOWS = sorted(f"flows.{path.stem}" for path in (ROOT / "flows").glob("*.py"))
HEAVY = {
    "torch",
    "transformers",
    "dvc",
    "bentoml",
    "openvino",
    "peft",
    "trl",
    "datasets",
    "sklearn",
}
PREFECT = "prefect.flows"
TIMES_PREFECT = 1.5
TRIES = 5

PROBE = """
import importlib, json, sys, time
start = time.process_time()
importlib.import_module(sys.argv[1])
seconds = time.process_time() - start
modules = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps({"seconds": seconds, "modules": modules}))
"""


def probe(module: str) -> tuple[float, set[str]]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, module], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    return float(found["seconds"]), set(found["modules"])


@pytest.mark.parametrize("module", [name for name in FLOWS if not name.endswith("__init__")])
def test_a_flow_module_loads_nothing_heavy(module: str) -> None:
    assert probe(module)[1] & HEAVY == set()


def test_a_flow_is_imported_in_little_more_than_prefect_itself_takes() -> None:
    # Processor time, and the best of a few tries: others share the machine.
    flow, prefect = (
        min(probe(module)[0] for _ in range(TRIES)) for module in ("flows.release", PREFECT)
    )
    assert flow < TIMES_PREFECT * prefect


def test_installation_needs_the_standard_library_only() -> None:
    command = [sys.executable, "-S", "-c", "import flows.install"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
