"""Runs one command so that nothing of it outlives it, even when its starter was killed.

    python flows/guard.py --limit 3600 -- dvc repro --single-item finetune@lora

The guard ends the whole process tree when the command ends (killing dvc alone would leave its
stage running), when the time limit is over, and when it is told to stop. It needs nobody above
it: when the flow dies, the stage is finished under the guard.
"""

import argparse
import ctypes
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from types import FrameType
from typing import NoReturn

import psutil

TIMED_OUT = 124
"""Exit code when the time limit was over."""

STOPPED = 143
"""Exit code when the guard was told to stop."""

GRACE_SECONDS = 5.0
PR_SET_CHILD_SUBREAPER = 36


class _Stop(Exception):
    """SIGTERM or SIGINT arrived."""


def main(arguments: list[str]) -> int:
    """Run the command after `--`; returns its exit code, 128 + signal when it was killed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--limit", type=float, required=True, help="seconds until it is ended")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _raise_stop)
    _adopt_orphans()
    try:
        return _run(options.command, options.limit)
    except _Stop:
        return STOPPED
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        end_children()


def _run(command: list[str], limit: float) -> int:
    # The descriptors that the guard inherited, the machine's lock among them, go on to the command.
    process = subprocess.Popen(command, close_fds=False, process_group=0)
    try:
        code = process.wait(limit)
    except subprocess.TimeoutExpired:
        print(f"error: not done after {limit:.0f} s: ended with all its children", flush=True)
        return TIMED_OUT
    return code if code >= 0 else 128 - code


def end_children() -> None:
    """End every descendant: politely at first, then with SIGKILL until none is left."""
    for child in _descendants():
        _signal(child, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while children := _descendants():
        if time.monotonic() > deadline:
            for child in children:
                _signal(child, signal.SIGKILL)
        psutil.wait_procs(children, timeout=0.2)
        _reap()


def _descendants() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [child for child in children if _alive(child)]


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _signal(process: psutil.Process, number: int) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _adopt_orphans() -> None:
    # Linux only: grandchildren whose parent was killed become the guard's own children, also
    # those that left the process group. Elsewhere the tree is what is reachable from dvc.
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _raise_stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise _Stop


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
