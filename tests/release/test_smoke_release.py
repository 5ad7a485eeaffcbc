"""One release on the real weights and real data, from a clone to an answer of the served Bento.

The smallest budget trains too little for a small student to pass, so the limits are set such that
the teacher merely quantized may pass: the whole way is walked, the verdict is earned.
"""

import concurrent.futures
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from openai import OpenAI

ROOT = Path(__file__).parents[2]
OVERRIDES = {"gate.max_cost_ratio": 0.95, "gate.margin": 0.05}
RELEASE_SECONDS = 1500
CLIENTS = 64

pytestmark = [pytest.mark.release, pytest.mark.timeout(RELEASE_SECONDS + 300)]


class Released(NamedTuple):
    checkout: Path
    environment: dict[str, str]
    worktree: Path
    gate: dict[str, Any]
    package: dict[str, Any]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    pytest.fail(f"{what}: waited {seconds} s in vain")


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Released]:
    checkout = tmp_path_factory.mktemp("release") / "checkout"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(checkout)], check=True)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("STILLHOUSE", "GIT_"))}
    environment = {
        **inherited,
        "STILLHOUSE_PREFECT_PORT": str(free_port()),
        "STILLHOUSE_SERVE_PORT": str(free_port()),
    }

    def house(command: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "flows.house", command],
            cwd=checkout,
            env=environment,
            check=True,
            timeout=300,
        )

    try:
        house("up")
        api = f"http://127.0.0.1:{environment['STILLHOUSE_PREFECT_PORT']}/api"
        deployment = httpx.get(f"{api}/deployments/name/release/release").raise_for_status().json()
        parameters = {"workload": "sentiment", "budget": "smoke", "overrides": OVERRIDES}
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        made = httpx.post(f"{api}/deployments/{deployment['id']}/create_flow_run", json=body)
        run = made.raise_for_status().json()["id"]
        ended = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}

        def state() -> dict[str, Any]:
            return dict(httpx.get(f"{api}/flow_runs/{run}").raise_for_status().json()["state"])

        until(lambda: state()["type"] in ended, RELEASE_SECONDS, "the release")
        assert state()["type"] == "COMPLETED", state()
        worktree = checkout / ".stillhouse" / "runs" / run
        gate = json.loads((worktree / "reports/gate.json").read_text())
        package = json.loads((worktree / "reports/package.json").read_text())
        yield Released(checkout, environment, worktree, gate, package)
    finally:
        house("stop")


@pytest.fixture(scope="module")
def address(released: Released) -> Iterator[str]:
    """The Bento, served as `make serve` does."""
    url = f"http://127.0.0.1:{released.environment['STILLHOUSE_SERVE_PORT']}"
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.house", "serve"],
        cwd=released.checkout,
        env=released.environment,
        process_group=0,
    )
    try:
        until(lambda: httpx.get(f"{url}/readyz").status_code == httpx.codes.OK, 120, "the Bento")
        yield url
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=60)


def test_release_passes_and_leaves_the_checkout_untouched(released: Released) -> None:
    assert released.gate["verdict"] == "pass", released.gate["reasons"]
    assert released.gate["cost_ratio"] < OVERRIDES["gate.max_cost_ratio"]
    assert released.gate["difference"]["lower_bound"] > -OVERRIDES["gate.margin"]
    assert released.gate["test"]["n"] == 400
    status = ["git", "status", "--porcelain"]
    done = subprocess.run(status, cwd=released.checkout, check=True, capture_output=True, text=True)
    assert done.stdout == ""


def test_run_is_a_commit_that_holds_every_report(released: Released) -> None:
    show = ["git", "ls-tree", "-r", "--name-only", "HEAD", "reports/", "params.yaml", "dvc.lock"]
    done = subprocess.run(show, cwd=released.worktree, check=True, capture_output=True, text=True)
    for name in (
        "params.yaml",
        "dvc.lock",
        "reports/gate.json",
        "reports/release.html",
        "reports/frontier.png",
        "reports/model-card.md",
        "reports/plots/lineage.png",
        "reports/evaluate/tfidf.json",
        "reports/evaluate/base.json",
        "reports/evaluate/small-int8.json",
        "reports/distill/small.json",
    ):
        assert name in done.stdout.split()


def test_bento_answers_the_openai_client_streaming_and_not(address: str) -> None:
    client = OpenAI(base_url=f"{address}/v1", api_key="unused")
    model = client.models.list().data[0].id
    asked: list[Any] = [{"role": "user", "content": "A moving, funny and beautiful film."}]
    whole = client.chat.completions.create(model=model, messages=asked)
    stream = client.chat.completions.create(model=model, messages=asked, stream=True)
    pieces = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert whole.choices[0].message.content == pieces
    assert pieces in {"negative", "positive"}
    assert whole.usage is not None
    assert whole.usage.prompt_tokens > 0


def test_bento_gives_the_evaluated_answers(released: Released, address: str) -> None:
    """Evaluation and serving are the same, and so are their answers on the locked test."""
    stored = released.checkout / ".stillhouse/cache"
    assert stored.is_dir()
    subprocess.run(
        [str(Path(sys.executable).parent / "dvc"), "checkout", "gate", "prepare"],
        cwd=released.worktree,
        check=True,
    )
    rows = [
        json.loads(line)
        for line in (released.worktree / "data/locked/test.jsonl").read_text().splitlines()
    ]
    told = {
        (row["name"], row["id"]): row["answer"]
        for line in (released.worktree / "data/gate/predictions.jsonl").read_text().splitlines()
        for row in [json.loads(line)]
    }

    def predict(row: dict[str, Any]) -> str:
        answer = httpx.post(f"{address}/predict", json=row["fields"], timeout=60)
        return str(answer.raise_for_status().json()["answer"])

    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
        served = list(clients.map(predict, rows))
    expected = [told[released.gate["chosen"], row["id"]] for row in rows]
    same = sum(a == b for a, b in zip(served, expected, strict=True))
    assert same >= 0.995 * len(rows)
