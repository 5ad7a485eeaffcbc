import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from bentos.router.deployment import Deployment, UpstreamConfig
from bentos.router.upstream import Piece, UnavailableError, Upstream

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b" "
STREAM = b"HTTP/1.1 200 OK\r\n\r\n", b'data: {"choices": []}\n\n'
HEADERS = b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"


@asynccontextmanager
async def _slow(first: bytes, then: bytes) -> AsyncIterator[Upstream]:
    """A model that never ends, though a piece comes often enough for any limit of a read."""

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while not writer.is_closing():
            writer.write(then)
            await asyncio.sleep(0.02)

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    config = UpstreamConfig(
        base_url=f"http://127.0.0.1:{port}/v1", model="m", price_per_1000_requests=0, seconds=0.3
    )
    async with server, httpx.AsyncClient(trust_env=False) as client:
        yield Upstream("slow", config, client)


def test_an_answer_that_comes_byte_by_byte_is_given_up_in_time() -> None:
    async def ask() -> None:
        async with _slow(*ANSWER) as upstream:
            with pytest.raises(UnavailableError, match="slow: TimeoutError"):
                await upstream.ask({"messages": []})

    started = time.monotonic()
    asyncio.run(asyncio.wait_for(ask(), 30))
    assert time.monotonic() - started >= 0.3


def test_a_stream_that_does_not_begin_is_given_up_in_time() -> None:
    async def ask() -> None:
        async with _slow(*HEADERS) as upstream:
            with pytest.raises(UnavailableError, match="slow: TimeoutError"):
                async with upstream.stream({"messages": []}):
                    pass

    started = time.monotonic()
    asyncio.run(asyncio.wait_for(ask(), 30))
    assert time.monotonic() - started >= 0.3


def test_a_stream_that_does_not_end_is_given_up_in_time() -> None:
    async def ask() -> list[Piece]:
        async with _slow(*STREAM) as upstream, upstream.stream({"messages": []}) as pieces:
            return [piece async for piece in pieces]

    started = time.monotonic()
    with pytest.raises(UnavailableError, match="slow: TimeoutError"):
        asyncio.run(asyncio.wait_for(ask(), 30))
    assert time.monotonic() - started >= 0.3


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        (b"data: {]\n\n", "none of OpenAI's"),
        (b"data: []\n\n", "none of OpenAI's"),
        (b'data: {"choices": [3]}\n\n', "none of OpenAI's"),
        (b'data: {"error": {"message": "secret"}}\n\n', "it broke off"),
    ],
)
def test_a_stream_of_something_else_is_no_answer(said: bytes, fault: str) -> None:
    async def ask() -> None:
        async with _slow(STREAM[0], said) as upstream, upstream.stream({"messages": []}) as pieces:
            with pytest.raises(UnavailableError, match=fault):
                await anext(pieces)

    asyncio.run(asyncio.wait_for(ask(), 30))


def test_a_router_waits_for_all_its_models_in_turn() -> None:
    each = {"base_url": "http://127.0.0.1:1/v1", "model": "m", "price_per_1000_requests": 0}
    told = Deployment.model_validate(
        {
            "upstreams": {"small": each | {"seconds": 700}, "large": each | {"seconds": 30}},
            "tiers": {"all": ["small", "large"]},
            "default_tier": "all",
        }
    )

    assert told.longest_seconds == 730
