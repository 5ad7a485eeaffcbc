import asyncio
import time

import httpx
import pytest

from bentos.router.deployment import Deployment, UpstreamConfig
from bentos.router.upstream import UnavailableError, Upstream


async def _drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An answer without end, of which a byte comes often enough for any limit of a read."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await asyncio.sleep(0.02)


def test_a_model_that_answers_byte_by_byte_is_given_up_in_time() -> None:
    async def ask() -> None:
        server = await asyncio.start_server(_drip, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        config = UpstreamConfig(
            base_url=f"http://127.0.0.1:{port}/v1",
            model="slow",
            price_per_1000_requests=0,
            seconds=0.3,
        )
        async with server, httpx.AsyncClient(trust_env=False) as client:
            with pytest.raises(UnavailableError, match="slow: TimeoutError"):
                await Upstream("slow", config, client).ask({"messages": []})

    started = time.monotonic()
    asyncio.run(asyncio.wait_for(ask(), 30))
    assert time.monotonic() - started >= 0.3


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
