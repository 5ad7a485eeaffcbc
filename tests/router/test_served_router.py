"""The router's Bento before two Bentos of tiny models: real services, a real client."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import openai
import psutil
import pytest

from bentos.generator.decoding import Decoding
from bentos.generator.prompt import PromptTemplate
from bentos.generator.serving import Serving
from bentos.router.calibration import Calibration
from bentos.router.spending import today
from bentos.web import access
from tasks.package import bento
from tasks.quantize import openvino_ir
from tasks.quantize.config import QuantizeConfig
from tasks.route.__main__ import _packaged
from tests.package.test_served_bento import free_port, serve, stop, wait_until_ready
from tests.tiny import tiny_model

pytestmark = pytest.mark.timeout(400)
CALIBRATION = Calibration(
    workload="tiny",
    models=("small", "teacher"),
    level=0.0,
    floor=0.98,
    confidence=0.95,
    kept=(1.0, 0.0),
    rows=100,
    recommended=True,
    why="tested",
    expires=today() + timedelta(days=2),
)


@dataclass
class Street:
    """Everything that runs."""

    router: str
    keys: Path
    premium: str
    free: str
    capped: str
    small: subprocess.Popen[bytes]
    deployment: Path
    logs: list[Path]


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    root = tmp_path_factory.mktemp("street")
    home, processes, logs = root / "bentoml", [], []
    upstreams = {}
    upstream_keys = root / "upstream-keys.json"
    secret = access.add(upstream_keys, "router", ["generate"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENTOML_HOME", str(home))
        patch.setenv("ROUTER_UPSTREAM_KEY", secret)
        try:
            for number, name in enumerate(("small", "teacher")):
                trained = tiny_model(root / f"trained-{name}", layers=2, seed=number)
                model, port, log = root / name, free_port(), root / f"{name}.log"
                config = QuantizeConfig.model_validate({"from": "fetch/base", "bits": 8})
                openvino_ir.convert(trained, model, config)
                built = bento.build(model, told(name), {}, root / f"{name}.tar")
                with log.open("w") as sink:
                    processes.append(serve(built.tag, port, home, sink.fileno(), upstream_keys))
                wait_until_ready(f"http://127.0.0.1:{port}", processes[-1], log)
                logs.append(log)
                upstreams[name] = {
                    "base_url": f"http://127.0.0.1:{port}/v1",
                    "model": name,
                    "key_variable": "ROUTER_UPSTREAM_KEY",
                    "price_per_1000_requests": 1.0 + number,
                }
            tag = _packaged(root, CALIBRATION)
            deployment, keys, log = (
                root / "deployment.json",
                root / "keys.json",
                root / "router.log",
            )
            tiers = {"free": ["small"], "standard": ["small", "teacher"], "premium": ["teacher"]}
            # Nobody listens there: a new model that never comes up.
            nobody = {"base_url": f"http://127.0.0.1:{free_port()}/v1"}
            upstreams["next"] = upstreams["small"] | nobody
            content = {
                "upstreams": upstreams,
                "tiers": tiers,
                "default_tier": "standard",
                "canary": {"upstream": "next", "of": "small", "share": 0.5},
                "shadow": {"upstream": "teacher", "of": "small", "share": 1.0},
                "day_limits": {"team-c": 0.0025},
            }
            deployment.write_text(json.dumps(content))
            premium = access.add(keys, "team-p", ["premium", "standard"])
            free = access.add(keys, "team-f", ["free"])
            capped = access.add(keys, "team-c", ["free"])
            patch.setenv("STILLHOUSE_ROUTER", str(deployment))
            patch.setenv("STILLHOUSE_SPENDING", str(root / "spending.sqlite"))
            port = free_port()
            with log.open("w") as sink:
                processes.append(serve(tag, port, home, sink.fileno(), keys))
            wait_until_ready(f"http://127.0.0.1:{port}", processes[-1], log)
            logs.append(log)
            address = f"http://127.0.0.1:{port}"
            yield Street(address, keys, premium, free, capped, processes[0], deployment, logs)
        finally:
            for process in processes:
                if process.poll() is None:
                    stop(process)


def told(name: str) -> Serving:
    return Serving(
        workload=name,
        model_name=name,
        engine="openvino",
        input_fields=("text",),
        prompt=PromptTemplate(user="{text}"),
        decoding=Decoding(choices=("negative", "positive")),
    )


def ask(street: Street, key: str, tier: str | None = None) -> tuple[str | None, str]:
    """An answer, and whose it is."""
    client = openai.OpenAI(base_url=f"{street.router}/v1", api_key=key, max_retries=0)
    raw = client.chat.completions.with_raw_response.create(
        model="tiny",
        messages=[{"role": "user", "content": "A secret triumph."}],
        extra_headers={"X-Stillhouse-Tier": tier} if tier else {},
    )
    return raw.parse().choices[0].message.content, raw.headers["x-stillhouse-upstream"]


def test_tiers_are_what_a_key_opens(street: Street) -> None:
    assert ask(street, street.free)[1] == "small"
    assert ask(street, street.premium)[1] == "teacher"
    assert ask(street, street.premium, "standard")[1] == "small"
    with pytest.raises(openai.PermissionDeniedError):
        ask(street, street.free, "premium")
    with pytest.raises(openai.AuthenticationError):
        ask(street, "sk-wrong")


def test_answers_are_the_models_own(street: Street) -> None:
    assert ask(street, street.free)[0] in {"negative", "positive"}


def test_metrics_tell_whose_answers_they_were(street: Street) -> None:
    ask(street, street.free)
    metrics = httpx.get(f"{street.router}/metrics").text
    assert 'upstream="small"' in metrics
    assert "stillhouse_upstream_cost_total" in metrics


def test_who_has_spent_the_day_is_told_so(street: Street) -> None:
    assert [ask(street, street.capped)[1] for _ in range(2)] == ["small"] * 2
    with pytest.raises(openai.RateLimitError, match="spent") as refused:
        ask(street, street.capped)
    assert refused.value.code == "insufficient_quota"


def test_a_shadow_is_asked_beside_the_answers(street: Street) -> None:
    ask(street, street.free)
    until = time.monotonic() + 30
    while not (found := shadowed(street)) and time.monotonic() < until:
        time.sleep(0.1)
    assert found <= {"same", "other"}
    assert found


def shadowed(street: Street) -> set[str]:
    """How shadow requests ended."""
    metrics = httpx.get(f"{street.router}/metrics").text
    lines = [line for line in metrics.splitlines() if line.startswith("stillhouse_shadow_total")]
    return {line.partition('outcome="')[2].partition('"')[0] for line in lines}


def test_a_canary_that_is_not_there_costs_nobody_an_answer_and_is_stopped(street: Street) -> None:
    assert {ask(street, street.free)[1] for _ in range(60)} == {"small"}
    assert "canary-stopped" in street.logs[-1].read_text()


def test_a_router_that_knows_no_models_says_so() -> None:
    environment = {k: v for k, v in os.environ.items() if k != "STILLHOUSE_ROUTER"}
    code = "from bentos.router.service import Router; Router.inner()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "cannot route: STILLHOUSE_ROUTER must name" in done.stderr


def test_when_the_small_one_dies_the_teacher_answers_and_nothing_secret_is_logged(
    street: Street,
) -> None:
    # Its workers are in groups of their own.
    for process in psutil.Process(street.small.pid).children(recursive=True):
        process.kill()
    street.small.kill()
    street.small.wait()
    assert ask(street, street.premium, "standard")[1] == "teacher"
    with pytest.raises(openai.InternalServerError):
        ask(street, street.free)
    said = "".join(log.read_text() for log in street.logs)
    secrets = (street.free, street.premium, os.environ["ROUTER_UPSTREAM_KEY"], "secret triumph")
    assert not [secret for secret in secrets if secret in said]
