import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml

from flows import lock, stage, worktree
from tests.flows.conftest import House, alive


def open_run(house: House, run: str, **fetch: object) -> worktree.Worktree:
    def write(root: Path) -> None:
        content = yaml.safe_load((root / "workloads" / "toy.yaml").read_text())
        content["fetch"] = fetch
        (root / "params.yaml").write_text(yaml.safe_dump(content))

    return worktree.open_worktree(house.root, run, "toy-smoke", write)


def job(made: worktree.Worktree, target: str = "fetch@weights", limit: float = 60.0) -> stage.Job:
    log = made.root.parent.parent / "logs" / made.root.name / f"{target}.log"
    return stage.Job(target, made.name, made.root, log, limit)


def until(condition: object, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def test_a_result_is_computed_once_for_this_and_for_every_other_run(house: House) -> None:
    made = open_run(house, "a")
    lines: list[str] = []
    assert stage.reproduce(job(made), lines.append)
    assert "progress fetch@weights 1/1 working" in lines
    assert not stage.reproduce(job(made), lines.append)
    other = open_run(house, "b")
    assert not stage.reproduce(job(other), lines.append)
    assert (other.root / "models/fetch/report.json").exists()
    assert house.ran() == {"fetch@weights": 1}
    assert any((house.state / "remote").rglob("*"))


def test_what_the_user_must_mend_is_said_and_told_from_a_crash(house: House) -> None:
    with pytest.raises(stage.StageUserError, match="no column label; name the right one"):
        stage.reproduce(job(open_run(house, "a", user_error=True)), print)
    with pytest.raises(stage.StageCrashedError, match="exit code 1"):
        stage.reproduce(job(open_run(house, "b", crash=True)), print)


def test_a_stage_is_ended_at_its_time_limit(house: House) -> None:
    made = open_run(house, "a", seconds=60)
    with pytest.raises(stage.TimeLimitError, match="STILLHOUSE_STAGE_MINUTES"):
        stage.reproduce(job(made, limit=3.0), print)
    pid = house.stage_pid("fetch@weights")
    assert pid is not None
    assert not alive(pid)


def test_killing_dvc_alone_leaves_no_stage_behind(house: House) -> None:
    made = open_run(house, "a", seconds=60)

    def kill_dvc() -> None:
        until(lambda: house.stage_pid("fetch@weights"))
        pid = house.stage_pid("fetch@weights") or 0
        # stage <- dvc (the shell that dvc starts replaces itself by the command)
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(parent, signal.SIGKILL)

    killer = threading.Thread(target=kill_dvc)
    killer.start()
    with pytest.raises(stage.StageCrashedError):
        stage.reproduce(job(made), print)
    killer.join()
    assert not alive(house.stage_pid("fetch@weights") or 0)
    assert lock.held_by(stage.compute_lock()) is None


FLOW = """
import signal
import sys
from pathlib import Path
from flows import stage
# Where a shell runs the tests in its background, they and all they start ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
root = Path(sys.argv[1])
log = Path(sys.argv[2])
stage.reproduce(stage.Job("fetch@weights", "toy-smoke-1", root, log, 60), print)
"""


def test_a_stage_whose_flow_was_killed_is_finished_and_found(house: House) -> None:
    made = open_run(house, "a", seconds=4)
    log = house.state / "logs" / "a.log"
    flow = subprocess.Popen([sys.executable, "-c", FLOW, str(made.root), str(log)])
    until(lambda: house.stage_pid("fetch@weights"))
    flow.kill()
    flow.wait()
    lines: list[str] = []
    assert not stage.reproduce(job(made), lines.append)
    assert lines[0].startswith("waiting until the machine is free: toy-smoke-1 fetch@weights")
    assert house.ran() == house.ran("finished") == {"fetch@weights": 1}


def test_a_flow_that_is_interrupted_ends_its_stage(house: House) -> None:
    made = open_run(house, "a", seconds=60)
    log = house.state / "logs" / "a.log"
    flow = subprocess.Popen([sys.executable, "-c", FLOW, str(made.root), str(log)])
    until(lambda: house.stage_pid("fetch@weights"))
    flow.send_signal(signal.SIGINT)
    assert flow.wait(20) != 0
    until(lambda: not alive(house.stage_pid("fetch@weights") or 0))


def test_secrets_do_not_reach_the_log(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "progress")
    lines: list[str] = []
    stage.reproduce(job(open_run(house, "a")), lines.append)
    assert "*** fetch@weights 1/1 working" in lines


def test_a_full_disk_is_the_users_to_mend_wherever_it_shows(house: House) -> None:
    made = open_run(house, "a")
    (made.root / "dvc.yaml").write_text(
        "stages:\n  full:\n    cmd: echo 'OSError: [Errno 28] No space left on device'; exit 1\n"
    )
    with pytest.raises(stage.DiskFullError, match="Free some and retry"):
        stage.reproduce(job(made, "full"), print)
