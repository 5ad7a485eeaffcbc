"""Whole runs of the toy house through a real server and worker, with everything that may die."""

import os
import signal
import socket
import subprocess
import time

import httpx
import pytest
import yaml

from tests.flows.conftest import Running, alive, git, until

pytestmark = pytest.mark.timeout(400)


def slow_gate(running: Running, seconds: float) -> str:
    """A run whose gate takes a while, started and now in its gate."""
    before = running.house.ran()["gate"]
    run = running.start(overrides={"gate.seconds": seconds})
    until(lambda: running.house.ran()["gate"] > before)
    return run


def test_a_demo_ends_with_table_verdict_and_next_command(running: Running) -> None:
    head = git(running.house.root, "rev-parse", "HEAD")
    done = running.command("demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "small *    candidate  0.900 (0.850-0.940)" in done.stdout
    assert "Verdict pass" in done.stdout
    assert "Bento:  toy:abc" in done.stdout
    assert "Next:   make serve" in done.stdout
    assert "> python -m tasks.step gate" in done.stdout
    assert running.house.ran() == running.house.ran("finished")
    assert set(running.house.ran().values()) == {1}
    assert git(running.house.root, "rev-parse", "HEAD") == head
    assert git(running.house.root, "status", "--porcelain") == ""


def test_a_second_run_measures_nothing_again_and_shows_the_same(running: Running) -> None:
    before = running.house.ran()
    run = running.start(promote=True)
    state = running.ended(run)
    assert state["type"] == "COMPLETED", state
    assert running.house.ran() == before
    assert state["message"].startswith("pass: small is no worse than teacher")
    shown = {artifact["key"]: artifact["data"] for artifact in running.artifacts(run)}
    assert "data:image/png;base64," in shown["release-toy"]
    assert shown["model-card-toy"].startswith("# toy: small")
    assert '"candidate": "small"' in shown["candidates-toy"]
    root = running.worktree(run)
    assert git(root, "status", "--porcelain") == ""
    # The same answers are one look, the same Bento is one version, and now it is in use.
    look, *versions = git(root, "tag", "--list").split()
    assert look.startswith("look/toy/")
    assert versions == ["toy#champion#1", "toy@v0.0.1"]
    assert git(root, "show", "HEAD:reports/gate.json")
    assert (root / "reports/release.html").exists()
    assert git(root, "ls-files", "reports/model-card.md", "reports/plots").count("\n") == 1
    assert (root / "models/package").exists()
    assert not (root / "models/fetch").exists()


def test_what_is_in_use_is_measured_beside_what_may_take_its_place(running: Running) -> None:
    run = running.start()
    assert running.ended(run)["type"] == "COMPLETED"
    assert running.house.ran()["evaluate@champion"] == 1
    assert "toy v0.0.1 is in use: what takes its place must be better" in running.logs(run)
    root = running.worktree(run)
    assert git(root, "status", "--porcelain") == ""
    champion = yaml.safe_load(git(root, "show", "HEAD:champion.dvc"))
    assert champion["meta"]["version"] == "v0.0.1"
    stages = yaml.safe_load(git(root, "show", "HEAD:dvc.lock"))["stages"]
    [made] = stages["quantize@small"]["outs"]
    assert champion["outs"][0]["md5"] == made["md5"]
    told = yaml.safe_load(git(root, "show", "HEAD:params.yaml"))
    assert told["gate"]["champion"] == "champion"


def test_a_version_is_promoted_and_rolled_back_by_flows(running: Running) -> None:
    run = running.start_flow("promote", {"workload": "toy", "reason": "it passed"})
    state = running.ended(run)
    assert (state["type"], state["message"]) == ("COMPLETED", "toy v0.0.1 is in use")
    [trail] = running.artifacts(run)
    assert "toy:abc" in trail["data"]
    state = running.ended(running.start_flow("rollback", {"workload": "toy", "reason": "regret"}))
    assert state["type"] == "FAILED"
    assert "nothing was in use before" in state["message"]


def test_set_up_makes_pools_deployments_and_the_automation_for_dead_runs(
    running: Running,
) -> None:
    pools = httpx.post(f"{running.api}/work_pools/filter", json={}).json()
    assert {pool["name"] for pool in pools} == {"cpu", "gpu"}
    deployments = httpx.post(f"{running.api}/deployments/filter", json={}).json()
    found = {made["name"]: made for made in deployments}
    assert found["release"]["work_pool_name"] == "cpu"
    assert found["release-gpu"]["work_pool_name"] == "gpu"
    assert [plan["active"] for plan in found["release"]["schedules"]] == [False]
    [automation] = httpx.post(f"{running.api}/automations/filter", json={}).json()
    assert automation["actions"][0]["state"] == "CRASHED"


def test_wrong_input_is_answered_before_any_work(running: Running) -> None:
    before = running.house.ran()
    run = running.start(overrides={"nothing.rank": 1, "tune.rank": 2})
    state = running.ended(run)
    assert state["type"] == "FAILED"
    assert "nothing.rank" in state["message"]
    assert "tune.rank" in state["message"]
    assert not running.worktree(run).exists()
    assert running.house.ran() == before


def test_what_the_user_must_mend_is_not_tried_again(running: Running) -> None:
    before = running.house.ran()["gate"]
    run = running.start(overrides={"gate.user_error": True})
    state = running.ended(run)
    assert state["type"] == "FAILED"
    assert "name the right one in prepare.fields" in state["message"]
    assert running.house.ran()["gate"] == before + 1


def test_a_killed_stage_is_tried_again_in_the_same_run(running: Running) -> None:
    before, finished = running.house.ran(), running.house.ran("finished")
    run = slow_gate(running, 3.1)
    os.kill(running.house.stage_pid("gate") or 0, signal.SIGKILL)
    assert running.ended(run)["type"] == "COMPLETED"
    assert running.house.ran()["gate"] == before["gate"] + 2
    assert running.house.ran("finished")["gate"] == finished["gate"] + 1
    assert running.house.ran()["prepare"] == before["prepare"]


def test_a_run_goes_on_without_its_worker(running: Running) -> None:
    finished = running.house.ran("finished")
    run = slow_gate(running, 6.2)
    os.kill(running.pid("worker"), signal.SIGKILL)
    assert running.command("up").returncode == 0
    assert running.ended(run)["type"] == "COMPLETED"
    assert running.house.ran("finished")["gate"] == finished["gate"] + 1


def test_a_run_goes_on_while_the_server_is_away(running: Running) -> None:
    finished = running.house.ran("finished")
    run = slow_gate(running, 6.3)
    os.kill(running.pid("server"), signal.SIGKILL)
    time.sleep(3)
    assert running.command("up").returncode == 0
    assert running.ended(run)["type"] == "COMPLETED"
    assert running.house.ran("finished")["gate"] == finished["gate"] + 1
    assert running.house.ran("finished")["package"] == finished["package"]


def test_a_run_that_died_with_its_worker_goes_on_where_it_stopped(running: Running) -> None:
    before = running.house.ran()
    run = slow_gate(running, 6.4)
    stage = running.house.stage_pid("gate") or 0
    os.kill(running.pid("worker"), signal.SIGKILL)
    os.kill(running.pid(f"run-{run}"), signal.SIGKILL)
    assert alive(stage), "a stage is not thrown away because its flow died"
    done = running.command("up")
    assert "was interrupted: it goes on where it stopped" in done.stdout
    until(lambda: running.state(run)["type"] != "RUNNING" or not alive(stage))
    assert running.ended(run)["type"] == "COMPLETED"
    assert running.house.ran()["gate"] == before["gate"] + 1


def test_two_runs_at_once_both_end_well_and_share_what_is_measured(running: Running) -> None:
    before = running.house.ran()
    overrides = {"gate.seconds": 2.2}
    runs = [running.start(overrides=overrides) for _ in range(2)]
    states = [running.ended(run)["type"] for run in runs]
    assert states == ["COMPLETED", "COMPLETED"]
    assert running.house.ran()["gate"] == before["gate"] + 1
    assert running.house.ran()["package"] == before["package"]
    assert git(running.house.root, "status", "--porcelain") == ""


def test_a_cancelled_run_leaves_no_stage_behind(running: Running) -> None:
    run = slow_gate(running, 60.5)
    stage = running.house.stage_pid("gate") or 0
    body = {"state": {"type": "CANCELLING"}}
    httpx.post(f"{running.api}/flow_runs/{run}/set_state", json=body).raise_for_status()
    until(lambda: running.state(run)["type"] == "CANCELLED")
    until(lambda: not alive(stage), 30)


def test_stop_ends_what_was_started_and_nothing_else(
    running: Running, sleeper: subprocess.Popen[bytes]
) -> None:
    slow_gate(running, 60.6)
    stage = running.house.stage_pid("gate") or 0
    pids = [running.pid("server"), running.pid("worker")]
    done = running.command("stop")
    assert "server" in done.stdout
    assert [pid for pid in [*pids, stage] if alive(pid)] == []
    assert sleeper.poll() is None
    assert running.command("stop").stdout == "Nothing was running.\n"


def test_a_taken_port_is_answered_with_the_remedy(running: Running) -> None:
    running.command("stop")
    port = int(running.environment["STILLHOUSE_PREFECT_PORT"])
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        done = running.command("up")
    assert done.returncode == 2
    assert f"STILLHOUSE_PREFECT_PORT={port + 1} make demo" in done.stderr
