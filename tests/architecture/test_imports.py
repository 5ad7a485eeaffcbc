"""Who may import whom is kept by `lint-imports` (contracts in pyproject.toml); the rest is here."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOWS = sorted(
    f"flows.{path.stem}" for path in (ROOT / "flows").glob("*.py") if path.stem != "__init__"
)
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
LIGHT = {"flows", "tasks", "bentos", "jinja2", "markupsafe", "tokenizers", "tqdm", "psutil"}
"""What flows may load that Prefect itself does not, beside the standard library."""

PROBE = """
import importlib, json, sys
importlib.import_module(sys.argv[1])
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@cache
def loaded(module: str) -> frozenset[str]:
    """Top-level packages in memory after an import of the module in a new process."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, module], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return frozenset(json.loads(done.stdout))


@pytest.mark.parametrize("module", FLOWS)
def test_a_flow_module_loads_nothing_heavy(module: str) -> None:
    assert not loaded(module) & HEAVY


@pytest.mark.parametrize("module", FLOWS)
def test_a_flow_module_loads_little_more_than_prefect_itself(module: str) -> None:
    # Names and not seconds: those depend on who else is at work on the machine.
    assert loaded(module) - loaded("prefect.flows") - sys.stdlib_module_names <= LIGHT


def test_installation_needs_the_standard_library_only() -> None:
    command = [sys.executable, "-S", "-c", "import flows.install"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
