"""What is let in: by key, by size, by time, and by how many are inside."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.types import Message

from bentos.web import access
from bentos.web.access import Access
from bentos.web.door import Door
from bentos.web.limits import Limits
from bentos.web.meter import Meter

LIMITS = Limits(concurrent_requests=2, body_bytes=1000, body_seconds=0.2)


class Inside:
    """An application that waits until it is told to answer."""

    def __init__(self, door: Access) -> None:
        self.registry = CollectorRegistry()
        self.may_answer = asyncio.Event()
        self.entered = 0
        self.app = FastAPI()
        meter = Meter("tiny", ["/echo"], self.registry)
        self.app.add_middleware(Door, access=door, limits=LIMITS, scopes=["generate"], meter=meter)
        self.app.add_api_route("/echo", self.echo, methods=["POST"])

    async def echo(self) -> dict[str, str]:
        self.entered += 1
        await self.may_answer.wait()
        return {"said": "hello"}


@asynccontextmanager
async def client(inside: Inside, host: str = "127.0.0.1") -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(inside.app)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as made:
        yield made


def answer(
    door: Access,
    host: str = "127.0.0.1",
    content: bytes = b"{}",
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    async def ask() -> httpx.Response:
        inside = Inside(door)
        inside.may_answer.set()
        async with client(inside, host) as made:
            return await made.post("/echo", content=content, headers=headers)

    return asyncio.run(ask())


def test_without_keys_loopback_alone_is_answered() -> None:
    assert answer(Access(None)).status_code == 200
    refused = answer(Access(None), host="10.0.0.7")
    assert refused.status_code == 403
    assert "STILLHOUSE_KEYS" in refused.json()["error"]["message"]


def test_keys_are_asked_for_everywhere_and_must_open_the_service(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    right = access.add(file, "right", ["generate"])
    other = access.add(file, "other", ["premium"])
    door = Access(file)

    for host in ("127.0.0.1", "10.0.0.7"):
        assert answer(door, host, headers={"Authorization": f"Bearer {right}"}).is_success
        for headers, status in (
            ({}, 401),
            ({"Authorization": "Bearer sk-no"}, 401),
            ({"Authorization": f"Bearer {other}"}, 403),
        ):
            refused = answer(door, host, headers=headers)
            assert refused.status_code == status
            assert refused.json()["error"]["type"].endswith("error")


def test_what_is_too_large_is_not_read() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100

    async def ask(content: bytes | AsyncIterator[bytes]) -> httpx.Response:
        inside = Inside(Access(None))
        inside.may_answer.set()
        async with client(inside) as made:
            return await made.post("/echo", content=content)

    for content in (b"x" * 1001, pieces()):
        refused = asyncio.run(ask(content))
        assert (refused.status_code, refused.json()["error"]["code"]) == (413, "request_too_large")


def test_who_comes_when_it_is_full_is_told_to_come_again() -> None:
    async def crowd() -> tuple[list[httpx.Response], httpx.Response, float | None]:
        inside = Inside(Access(None))
        async with client(inside) as made:
            early = [asyncio.create_task(made.post("/echo")) for _ in range(2)]
            while inside.entered < 2:
                await asyncio.sleep(0.01)
            gauge = inside.registry.get_sample_value(
                "stillhouse_requests_inside", {"model": "tiny"}
            )
            late = await made.post("/echo")
            inside.may_answer.set()
            answered = await asyncio.gather(*early)
            answered.append(await made.post("/echo"))
            return answered, late, gauge

    answered, late, gauge = asyncio.run(crowd())

    assert (late.status_code, late.headers["retry-after"]) == (429, "1")
    assert [one.status_code for one in answered] == [200, 200, 200]
    assert gauge == 2


def ended(messages: list[Message], wait: float) -> list[Message]:
    """What is sent to a client who sends these messages, and then, after a while, nothing."""
    sent: list[Message] = []
    inside = Inside(Access(None))
    inside.may_answer.set()

    async def receive() -> Message:
        if messages:
            return messages.pop(0)
        await asyncio.sleep(wait)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/echo",
        "query_string": b"",
        "headers": [],
        "server": ("127.0.0.1", 80),
    }
    asyncio.run(inside.app(scope, receive, send))
    assert inside.entered == 0
    return sent


def test_a_slow_sender_is_not_waited_for() -> None:
    begun: Message = {"type": "http.request", "body": b"{", "more_body": True}

    assert ended([begun], wait=5)[0]["status"] == 408


@pytest.mark.parametrize("wait", [0, 0.05])
def test_a_sender_who_goes_away_is_forgotten(wait: float) -> None:
    begun: Message = {"type": "http.request", "body": b"{", "more_body": True}

    assert ended([begun], wait) == []
