"""vLLM beside the reference engine. It needs an environment of its own; see CONTRIBUTING."""

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import psutil
import pytest

from bentos.generator import serving
from bentos.generator.decoding import Decoding
from bentos.generator.engine import Completion, Engine, EngineError, load_engine
from bentos.generator.prompt import Renderer
from bentos.generator.serving import Serving
from tests.tiny import LABELS, tiny_model

pytestmark = pytest.mark.vllm
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # vLLM has kernels for heads of 32 numbers and more.
    return tiny_model(tmp_path_factory.mktemp("vllm"), layers=2, head_dim=32)


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[Engine]:
    with closing(load_engine("vllm", folder)) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def reference(folder: Path) -> Iterator[Engine]:
    with closing(load_engine("transformers", folder)) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def prompts(folder: Path) -> list[list[int]]:
    renderer = Renderer.from_folder(folder)
    turns = [[{"role": "user", "content": f"film {'x' * n}"}] for n in range(8)]
    return [renderer.encode(renderer.render(turn)) for turn in turns]


def answers(engine: Engine, prompts: list[list[int]], decoding: Decoding) -> list[Completion]:
    async def ask() -> list[Completion]:
        return list(await asyncio.gather(*(engine.complete(p, decoding) for p in prompts)))

    return asyncio.run(ask())


@pytest.mark.parametrize("choices", [None, LABELS, ("a", "ab", "abc"), ("only",)], ids=str)
def test_it_answers_as_the_reference_does(
    engine: Engine, reference: Engine, prompts: list[list[int]], choices: tuple[str, ...] | None
) -> None:
    decoding = Decoding(max_new_tokens=6, choices=choices, logprobs=True)

    ours, theirs = (answers(each, prompts, decoding) for each in (engine, reference))

    for one, other in zip(ours, theirs, strict=True):
        assert (one.text, one.finish_reason) == (other.text, other.finish_reason)
        assert one.completion_tokens == other.completion_tokens
        assert [scored.token for scored in one.scored] == [scored.token for scored in other.scored]
        assert [scored.logprob for scored in one.scored] == pytest.approx(
            [scored.logprob for scored in other.scored],
            abs=0.05,  # it computes in bf16
        )


def test_streamed_pieces_add_up_and_stop_texts_end_them(
    engine: Engine, prompts: list[list[int]]
) -> None:
    async def pieces(decoding: Decoding) -> list[str]:
        return [chunk.text async for chunk in engine.stream(prompts[0], decoding)]

    [whole] = answers(engine, prompts[:1], Decoding(max_new_tokens=40))
    assert "".join(asyncio.run(pieces(Decoding(max_new_tokens=40)))) == whole.text

    stop = whole.text[5:7]
    [cut] = answers(engine, prompts[:1], Decoding(max_new_tokens=40, stop=(stop,)))
    assert (cut.text, cut.finish_reason) == (whole.text[: whole.text.index(stop)], "stop")


def test_an_answer_follows_a_json_schema(engine: Engine, prompts: list[list[int]]) -> None:
    decoding = Decoding(max_new_tokens=20, json_schema='{"enum": ["a", "b", 12, null]}')

    [answer] = answers(engine, prompts[:1], decoding)

    assert json.loads(answer.text) in ("a", "b", 12, None)


def test_seed_repeats_a_sampled_answer(engine: Engine, prompts: list[list[int]]) -> None:
    def sampled(seed: int) -> str:
        decoding = Decoding(max_new_tokens=12, temperature=1.5, seed=seed)
        return answers(engine, prompts[:1], decoding)[0].text

    assert sampled(1) == sampled(1)
    assert len({sampled(seed) for seed in range(4)}) > 1


def test_a_cancelled_request_is_freed_and_leaves_others_alone(
    engine: Engine, prompts: list[list[int]]
) -> None:
    async def ask() -> Completion:
        long = asyncio.create_task(engine.complete(prompts[0], Decoding(max_new_tokens=200)))
        await asyncio.sleep(0.05)
        long.cancel()
        one = await engine.complete(prompts[1], Decoding(max_new_tokens=2))
        for _ in range(100):
            if engine.requests_under_way == 0:  # type: ignore[attr-defined]
                return one
            await asyncio.sleep(0.02)
        raise AssertionError("the cancelled request is still computed")

    assert asyncio.run(ask()).completion_tokens == 2


@pytest.mark.timeout(300)
def test_a_service_whose_vllm_was_killed_comes_back(folder: Path, tmp_path: Path) -> None:
    told = {"workload": "tiny", "model_name": "tiny", "engine": "vllm", "input_fields": ()}
    free_text = Serving.model_validate({**told, "prompt": None, "decoding": Decoding()})
    serving.write(free_text, folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = {
        "STILLHOUSE_MODEL": str(folder),
        "BENTOML_HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
    }
    serve = ["-m", "bentoml", "serve", "bentos.generator.service:Generator", "--port", str(port)]
    server = psutil.Popen(
        [sys.executable, *serve, "--host", "127.0.0.1"], cwd=tmp_path, env={**os.environ, **where}
    )
    try:
        assert asked_until(port, 200, 120)[-1] == 200
        computes = max(server.children(recursive=True), key=lambda each: each.memory_info().rss)
        computes.kill()
        assert asked_until(port, 503, 60)[-1] == 503
        back = asked_until(port, 200, 120)
        assert back[-1] == 200
        assert set(back) <= {None, 200, 503}
    finally:
        for process in [*server.children(recursive=True), server]:
            process.kill()


def asked_until(port: int, status: int, seconds: float) -> list[int | None]:
    """Statuses of requests up to the first that is as wanted; None where nobody answered."""
    seen: list[int | None] = []
    until = time.monotonic() + seconds
    while status not in seen and time.monotonic() < until:
        body = {"messages": [{"role": "user", "content": "a film"}], "max_tokens": 2}
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        try:
            seen.append(httpx.post(url, json=body, timeout=60).status_code)
        except httpx.TransportError:
            seen.append(None)
        time.sleep(0.5)
    return seen


def test_a_closed_engine_refuses_requests(folder: Path, prompts: list[list[int]]) -> None:
    engine = load_engine("vllm", folder)
    engine.close()
    engine.close()

    with pytest.raises(EngineError, match="closed"):
        answers(engine, prompts[:1], Decoding())
