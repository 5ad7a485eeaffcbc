"""One release on the real weights and real data, from a clone to an answer of the served Bento.

The smallest budget trains too little for a small student to answer as the teacher does, so the
margin is wide. The price is asked for in earnest: half the blocks, a third of the vocabulary and a
prompt without instructions are cheaper than the teacher on any processor, however busy it is.
"""

import concurrent.futures
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from openai import OpenAI

from benchmarks.clone import RUN_SECONDS, House, cloned, until

RELEASE = {"workload": "sentiment", "budget": "smoke"}
COST, MARGIN = 0.95, 0.4
OVERRIDES = {"gate.max_cost_ratio": COST, "gate.margin": MARGIN}
CLIENTS = 64
ROLLBACK_SECONDS = 10

pytestmark = [pytest.mark.release, pytest.mark.timeout(RUN_SECONDS + 300)]


class Released(NamedTuple):
    house: House
    worktree: Path
    gate: dict[str, Any]
    package: Path


def completed(house: House, flow: str, **parameters: object) -> dict[str, Any]:
    run = house.finished(house.start(flow, **parameters))
    assert run["state"]["type"] == "COMPLETED", run["state"]
    return run


def package(house: House, run: dict[str, Any]) -> Path:
    return house.worktree(run["id"]) / "models/package/sentiment.tar"


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Released]:
    with cloned(tmp_path_factory.mktemp("release") / "checkout") as house:
        run = completed(house, "release", **RELEASE, overrides=OVERRIDES)
        worktree = house.worktree(run["id"])
        gate = json.loads((worktree / "reports/gate.json").read_text())
        yield Released(house, worktree, gate, package(house, run))


@pytest.fixture(scope="module")
def address(released: Released) -> Iterator[str]:
    """The Bento, served as `make serve` does."""
    url = f"http://127.0.0.1:{released.house.serve_port}"
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.house", "serve"],
        cwd=released.house.root,
        env=released.house.environment,
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
    assert released.gate["cost_ratio"] < COST
    assert released.gate["difference"]["lower_bound"] > -MARGIN
    assert released.gate["test"]["n"] == 400
    assert released.house.changes() == []


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
    stored = released.house.state / "cache"
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


def to_serve(house: House) -> Path:
    """What `make serve` would serve."""
    command = [sys.executable, "-c", "from flows import serving; print(serving.bento_to_serve())"]
    done = subprocess.run(
        command, cwd=house.root, env=house.environment, check=True, capture_output=True, text=True
    )
    return Path(done.stdout.strip())


def test_rollback_takes_seconds_and_builds_nothing(released: Released) -> None:
    """Two versions of one model: promote, promote, roll back, promote again."""
    house, first = released.house, released.package
    overrides = OVERRIDES | {"package.prefix_caching": True}
    second = package(house, completed(house, "release", **RELEASE, overrides=overrides))
    assert to_serve(house) == second, "before the first promotion the newest one is served"
    built = sorted(house.state.glob("runs/*/models/package/*"))
    trail = [completed(house, "promote", workload="sentiment", reason="passed", version="v0.0.1")]
    assert to_serve(house) == first
    trail.append(completed(house, "promote", workload="sentiment", reason="answers sooner"))
    assert to_serve(house) == second
    trail.append(completed(house, "rollback", workload="sentiment", reason="a complaint"))
    assert to_serve(house) == first
    assert trail[-1]["total_run_time"] < ROLLBACK_SECONDS
    trail.append(completed(house, "promote", workload="sentiment", reason="mended"))
    assert to_serve(house) == second
    told = [run["state"]["message"] for run in trail]
    assert told == [f"sentiment v0.0.{version} is in use" for version in (1, 2, 1, 2)]
    assert sorted(house.state.glob("runs/*/models/package/*")) == built
    tags = ["git", "tag", "--list", "sentiment#champion#*"]
    listed = subprocess.run(tags, cwd=house.root, check=True, capture_output=True, text=True)
    assert len(listed.stdout.split()) == len(trail)
    assert house.changes() == []
