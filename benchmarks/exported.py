"""The exported Bento in an empty environment: does it serve, how soon, and how large is all of it?

    make demo && .venv/bin/python -m benchmarks.exported

makes a virtual environment in a scratch folder, installs what the archive's own requirements name
and BentoML, imports the archive into an empty store and serves it three times: from the command to
ready, and to the first answer, which must be the evaluated one. Nothing of this checkout may be
found there, nor torch. Writes benchmarks/results/exported.json. Budget: five minutes.
"""

import importlib.metadata
import json
import os
import subprocess
import tarfile
import tempfile
import time
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from benchmarks.clients import predictions
from benchmarks.release import RESULTS, newest_run
from flows import serving
from tasks import candidates_table, evaluation_report, paths, records, service, stage
from tasks.errors import StillhouseError
from tasks.records import Record

RESULT = RESULTS / "exported.json"
CHECKOUT = Path(__file__).parents[1]
STARTS: Final = 3
SECONDS_TO_START: Final = 60.0
MEGABYTE: Final = 1e6
FIND: Final = """
import importlib.util, sys
print(*[name for name in sys.argv[1:] if importlib.util.find_spec(name) is None])
"""
ABSENT: Final = ("torch", "transformers", "tasks", "flows", "bentos")


def main(arguments: list[str]) -> None:
    """Install, import, serve, ask, print and write; takes no arguments."""
    if arguments:
        raise StillhouseError("usage: python -m benchmarks.exported (it takes no arguments)")
    archive, row, expected = serving.bento_to_serve(), *_question()
    with tempfile.TemporaryDirectory(prefix="stillhouse-exported-") as scratch:
        result = measured(archive, row, expected, Path(scratch))
    records.write_report(RESULT, result)
    print(json.dumps(result, indent=2))


def _question() -> tuple[Record, str]:
    """A request of the newest run, and what the chosen candidate answered in evaluation."""
    root = newest_run()
    gate = candidates_table.load(root).gate
    if gate is None or gate.chosen is None:
        raise StillhouseError(f"{root}: the newest run has packaged nothing")
    told = predictions(root, gate.chosen)
    row = next(row for row in records.read(root / paths.VALIDATION, Record) if row.id in told)
    return row, told[row.id]


def measured(archive: Path, row: Record, expected: str, scratch: Path) -> dict[str, Any]:
    """Sizes and starts."""
    python = _installed(archive, scratch)
    store = {"BENTOML_HOME": str(scratch / "bentoml"), "BENTOML_DO_NOT_TRACK": "True"}
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment = {**kept, **store}
    imported = subprocess.run(
        [python, "-m", "bentoml", "import", str(archive)],
        cwd=scratch,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    starts = [_start(python, environment, scratch, row, expected) for _ in range(STARTS)]
    return {
        "hardware": evaluation_report.hardware(),
        "said": imported.stdout.strip(),
        "archive_mb": round(archive.stat().st_size / MEGABYTE, 1),
        "environment_mb": round(_size(scratch / "environment") / MEGABYTE, 1),
        "packages": len(list((scratch / "environment").glob("lib/*/site-packages/*.dist-info"))),
        "absent": _absent(python, environment, scratch),
        "seconds_to_ready": [ready for ready, _ in starts],
        "seconds_to_first_answer": [answered for _, answered in starts],
    }


def _installed(archive: Path, scratch: Path) -> str:
    """Python of an environment that holds what the archive asks for, and BentoML."""
    requirements = scratch / "requirements.txt"
    with tarfile.open(archive) as content:
        [member] = [m for m in content if m.name.endswith("env/python/requirements.txt")]
        found = content.extractfile(member)
        requirements.write_bytes(found.read() if found else b"")
    venv.create(scratch / "environment", with_pip=True)
    python = str(scratch / "environment/bin/python")
    bentoml = f"bentoml=={importlib.metadata.version('bentoml')}"
    install = [python, "-m", "pip", "install", "--quiet", bentoml, "-r", str(requirements)]
    pinned = ["--constraint", str(CHECKOUT / "constraints.txt")]
    subprocess.run([*install, *pinned], check=True)
    return python


def _start(
    python: str, environment: Mapping[str, str], scratch: Path, row: Record, expected: str
) -> tuple[float, float]:
    """Seconds to ready and to the first answer."""
    started = time.perf_counter()
    with _served(python, environment, scratch) as address:
        ready = time.perf_counter() - started
        response = httpx.post(
            f"{address}/v1/chat/completions",
            json={"messages": row.messages},
            timeout=60,
            trust_env=False,
        )
        answered = time.perf_counter() - started
    answer = response.raise_for_status().json()["choices"][0]["message"]["content"]
    if answer != expected:
        raise StillhouseError(f"it answers {answer!r}; evaluated was {expected!r}")
    return round(ready, 2), round(answered, 2)


@contextmanager
def _served(python: str, environment: Mapping[str, str], scratch: Path) -> Iterator[str]:
    port = service.free_port()
    tag = next((scratch / "bentoml/bentos").glob("*/latest")).parent.name
    command = [python, "-m", "bentoml", "serve", f"{tag}:latest", "--host", service.HOST]
    with (scratch / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--port", str(port)], cwd=scratch, env=environment, stdout=log, stderr=log
        )
        address = f"http://{service.HOST}:{port}"
        try:
            _wait(address, process, scratch / "log")
            yield address
        finally:
            service.end(process)


def _wait(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(f"{address}/readyz", timeout=5, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise StillhouseError(f"the Bento did not start: {log.read_text(errors='replace')[-2000:]}")


def _absent(python: str, environment: Mapping[str, str], scratch: Path) -> list[str]:
    """What must not be there, and is not."""
    command = [python, "-c", FIND, *ABSENT]
    done = subprocess.run(
        command, cwd=scratch, env=environment, check=True, capture_output=True, text=True
    )
    found = done.stdout.split()
    if missing := sorted(set(ABSENT) - set(found)):
        raise StillhouseError(f"{', '.join(missing)} can be imported: this shows nothing")
    return found


def _size(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*") if not file.is_dir())


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
