import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows import guard
from tests.flows.conftest import alive

TREE = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], {options})
print(child.pid, flush=True)
time.sleep({seconds})
"""


def start(seconds: float, limit: float, options: str = "") -> subprocess.Popen[str]:
    program = TREE.format(seconds=seconds, options=options)
    command = [sys.executable, "-P", guard.__file__, "--limit", str(limit), "--"]
    return subprocess.Popen(
        [*command, sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    )


def child_of(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


@pytest.mark.parametrize("options", ["", "start_new_session=True"])
def test_nothing_outlives_the_command(options: str) -> None:
    process = start(seconds=0.2, limit=30, options=options)
    child = child_of(process)
    assert process.wait(20) == 0
    assert not alive(child)


def test_a_killed_command_takes_its_children_with_it() -> None:
    process = start(seconds=60, limit=30)
    child = child_of(process)
    [command] = [
        int(pid)
        for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    ]
    os.kill(command, signal.SIGKILL)
    assert process.wait(20) == 128 + signal.SIGKILL
    assert not alive(child)


def test_the_time_limit_holds_for_the_whole_tree() -> None:
    process = start(seconds=60, limit=0.5)
    child = child_of(process)
    begun = time.monotonic()
    assert process.wait(20) == guard.TIMED_OUT
    assert time.monotonic() - begun < guard.GRACE_SECONDS + 3
    assert not alive(child)


def test_a_guard_that_is_told_to_stop_ends_its_tree() -> None:
    process = start(seconds=60, limit=60)
    child = child_of(process)
    process.terminate()
    assert process.wait(20) == guard.STOPPED
    assert not alive(child)


def test_the_exit_code_is_the_commands() -> None:
    command = [sys.executable, "-P", guard.__file__, "--limit", "9", "--"]
    done = subprocess.run([*command, sys.executable, "-c", "raise SystemExit(7)"], check=False)
    assert done.returncode == 7
