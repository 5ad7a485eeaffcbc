"""Set-up: checks the machine, makes .venv and installs the pinned requirements.

    python3.11 -m flows.install

Runs before anything is installed, so it imports the standard library only. The second time it
compares a stamp and is done.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

PYTHON = (3, 11)
FREE_GB = 12
VENV = Path(".venv")
STAMP = VENV / "installed.sha256"
SOURCES = (Path("pyproject.toml"), Path("constraints.txt"))
GROUPS = "data,train,serve,evidence,dev"
UNREACHABLE = (
    "Connection refused",
    "Failed to establish a new connection",
    "Temporary failure in name resolution",
    "Name or service not known",
    "Network is unreachable",
    "Read timed out",
    "ConnectTimeoutError",
    "ProxyError",
    "Max retries exceeded",
    # Every pin exists, so an index that offers no version at all has not answered.
    "(from versions: none)",
)


class InstallError(Exception):
    """What is missing on this machine, in one sentence with its remedy."""


def main() -> int:
    """Install unless the stamp says that it is done; returns the exit code."""
    try:
        check_python(sys.version_info[:2])
        digest = fingerprint(SOURCES)
        if not STAMP.exists() or STAMP.read_text(encoding="utf-8") != digest:
            check_disk(shutil.disk_usage(Path.cwd()).free)
            install()
            STAMP.write_text(digest, encoding="utf-8")
    except InstallError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def check_python(version: Sequence[int]) -> None:
    """Raise InstallError unless this is the Python that the pins were tested with."""
    if tuple(version) != PYTHON:
        found, wanted = (".".join(str(part) for part in v) for v in (version, PYTHON))
        raise InstallError(
            f"Python {wanted} is needed and this is {found}; install python{wanted} and name it: "
            f"make PYTHON=/path/to/python{wanted} demo"
        )


def check_disk(free_bytes: int) -> None:
    """Raise InstallError when environment, weights and caches would not fit."""
    free = free_bytes / 1e9
    if free < FREE_GB:
        raise InstallError(
            f"{FREE_GB} GB of free disk are needed and {Path.cwd()} has {free:.1f}; free some, or "
            "clone on another disk"
        )


def fingerprint(sources: Sequence[Path]) -> str:
    """Changes when a pin or the interpreter changes."""
    digest = hashlib.sha256(f"{sys.executable} {sys.version} {GROUPS}".encode())
    for source in sources:
        digest.update(source.read_bytes())
    return digest.hexdigest()


def install() -> None:
    """Make .venv and install everything into it; pip's output is shown as it comes.

    Raises:
        InstallError: no package index can be reached, or pip failed otherwise.
    """
    try:
        venv.create(VENV, with_pip=True)
    except subprocess.CalledProcessError as error:
        raise InstallError(
            f"{sys.executable} cannot make a virtual environment; install its venv module (on "
            "Debian: apt-get install python3.11-venv) and type the same command again"
        ) from error
    command = [str(VENV / "bin" / "python"), "-m", "pip", "install"]
    command += ["--disable-pip-version-check", "--constraint", "constraints.txt"]
    command += ["--editable", f".[{GROUPS}]"]
    code, output = _run_shown(command)
    if code == 0:
        return
    if any(sign in output for sign in UNREACHABLE):
        raise InstallError(
            "no package index can be reached; check the network or proxy, or name a mirror with "
            "PIP_INDEX_URL, then type the same command again"
        )
    if "No space left on device" in output:
        raise InstallError("the disk is full; free some space and type the same command again")
    raise InstallError(f"pip ended with {code}; its last lines above say why")


def _run_shown(command: Sequence[str]) -> tuple[int, str]:
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    lines = []
    for line in process.stdout or ():
        print(line, end="", flush=True)
        lines.append(line)
    return process.wait(), "".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
