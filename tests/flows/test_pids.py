import json
import os
import subprocess
from pathlib import Path

import pytest

from flows import pids


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLHOUSE_STATE", str(tmp_path))


def test_what_was_started_is_stopped(sleeper: subprocess.Popen[bytes]) -> None:
    pids.write("server", sleeper.pid, port=4200)
    assert pids.port("server") == 4200
    assert pids.stop("server")
    assert pids.alive("server") is None
    assert sleeper.poll() is not None
    assert pids.names() == []


def test_a_pid_that_now_belongs_to_another_process_is_left_alone(
    sleeper: subprocess.Popen[bytes],
) -> None:
    pids.write("server", sleeper.pid)
    file = pids.folder() / "server.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "created": content["created"] - 100}))
    assert not pids.stop("server")
    assert sleeper.poll() is None


def test_a_damaged_note_names_no_process() -> None:
    pids.write("server", os.getpid())
    (pids.folder() / "server.json").write_text("{")
    assert pids.alive("server") is None
    assert not pids.stop("server")
