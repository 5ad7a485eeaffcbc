"""One computation at a time on a machine, whatever becomes of the process that began it.

    .stillhouse/locks/compute
    {"holder": "sentiment-quick-3 finetune@lora", "pid": 4711}

The lock belongs to an open file, not to a process: children that inherit its descriptor hold it
too. A stage whose flow was killed therefore keeps the machine until it ends, and whoever comes
next finds its result instead of computing it again beside it.
"""

import errno
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS_BETWEEN_TRIES = 0.3


@contextmanager
def exclusive(path: Path, holder: str, waiting: Callable[[str], None]) -> Iterator[int]:
    """Hold the lock at `path`; yields the descriptor that children are to inherit.

    `waiting` is called once, with the name of the present holder, when the lock is taken.
    Leaving gives up this process's share only: children that are still running keep theirs.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not _take(descriptor):
            waiting(holder_of(path) or "another process")
            while not _take(descriptor):
                time.sleep(SECONDS_BETWEEN_TRIES)
        record(descriptor, holder, os.getpid())
        yield descriptor
    finally:
        os.close(descriptor)


def record(descriptor: int, holder: str, pid: int) -> None:
    """Write into the lock file who holds it, for those who wait and those who stop the house."""
    content = json.dumps({"holder": holder, "pid": pid}).encode() + b"\n"
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, content, 0)


def holder_of(path: Path) -> str | None:
    """What the lock file says of its holder; None when it says nothing."""
    content = _content(path)
    return str(content["holder"]) if content else None


def held_by(path: Path) -> int | None:
    """The pid noted in a lock that is held now; None when it is free."""
    if not path.exists():
        return None
    descriptor = os.open(path, os.O_RDWR)
    try:
        if _take(descriptor):
            return None
    finally:
        os.close(descriptor)
    content = _content(path)
    return int(str(content["pid"])) if content else None


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in {errno.EAGAIN, errno.EACCES}:
            raise
        return False
    return True


def _content(path: Path) -> dict[str, object] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and {"holder", "pid"} <= content.keys() else None
