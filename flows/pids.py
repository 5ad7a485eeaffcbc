"""Which processes the house has started, so that it stops these and no others.

    .stillhouse/pids/server.json
    {"pid": 4711, "created": 1700000000.25, "port": 4200}

A pid alone is not proof: it may have been given to another process since. Pid and time of
creation together name a process.
"""

import json
from pathlib import Path

import psutil

from tasks import paths

CREATED_WITHIN = 0.5
"""Seconds by which two readings of a creation time may differ."""


def folder() -> Path:
    """Where the pid files lie."""
    return paths.state() / "pids"


def write(name: str, pid: int, port: int | None = None) -> None:
    """Note that process `pid` is ours, under `name`."""
    content = {"pid": pid, "created": psutil.Process(pid).create_time(), "port": port}
    folder().mkdir(parents=True, exist_ok=True)
    (folder() / f"{name}.json").write_text(json.dumps(content) + "\n", encoding="utf-8")


def alive(name: str) -> psutil.Process | None:
    """The running process noted under `name`, or None."""
    content = _content(name)
    if content is None:
        return None
    try:
        process = psutil.Process(int(content["pid"]))
        same = abs(process.create_time() - content["created"]) < CREATED_WITHIN
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def port(name: str) -> int | None:
    """The port noted under `name` while its process runs."""
    content = _content(name)
    if content is None or alive(name) is None or content["port"] is None:
        return None
    return int(content["port"])


def names() -> list[str]:
    """Every name under which a process is noted, running or not."""
    return sorted(file.stem for file in folder().glob("*.json"))


def forget(name: str) -> None:
    """Remove the note."""
    (folder() / f"{name}.json").unlink(missing_ok=True)


def stop(name: str, seconds: float = 20.0) -> bool:
    """End the process noted under `name`: politely, then with SIGKILL. False when none ran."""
    process = alive(name)
    forget(name)
    if process is None:
        return False
    process.terminate()
    _gone, left = psutil.wait_procs([process], timeout=seconds)
    for survivor in left:
        survivor.kill()
    psutil.wait_procs(left, timeout=seconds)
    return True


def _content(name: str) -> dict[str, float] | None:
    try:
        content = json.loads((folder() / f"{name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and {"pid", "created"} <= content.keys() else None
