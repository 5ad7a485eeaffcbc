import subprocess
import sys
import time
from pathlib import Path

from flows import lock


def test_a_child_that_outlives_its_parent_keeps_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "compute"
    program = "import time; time.sleep(1.5)"
    with lock.exclusive(path, "first", print) as descriptor:
        child = subprocess.Popen([sys.executable, "-c", program], pass_fds=(descriptor,))
        lock.record(descriptor, "first", child.pid)
    assert lock.held_by(path) == child.pid
    waited_for = []
    start = time.monotonic()
    with lock.exclusive(path, "second", waited_for.append):
        assert child.poll() is not None or time.monotonic() - start > 0.5
    child.wait()
    assert waited_for == ["first"]


def test_a_free_lock_has_no_holder(tmp_path: Path) -> None:
    path = tmp_path / "compute"
    assert lock.held_by(path) is None
    with lock.exclusive(path, "me", print):
        pass
    assert lock.held_by(path) is None
