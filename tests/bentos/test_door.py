"""What is let in: by key, by size, by time, and by how many are inside."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from prometheus_client import CollectorRegistry
from starlette.types import Message

from bentos.web import access
from bentos.web.access import Access
from bentos.web.door import Door
from bentos.web.limits import Limits
from bentos.web.meter import Meter

LIMITS = Limits(concurrent_requests=2, body_bytes=1000, body_seconds=0.2)
SECRET = "a piece of somebody's request"


class Inside:
    """An application that waits until it is told to answer."""

    def __init__(self, door: Access) -> None:
        self.registry = CollectorRegistry()
        self.may_answer = asyncio.Event()
        self.entered = 0
        self.app = FastAPI()
        meter = Meter("tiny", ["/echo", "/fail"], self.registry)
        self.app.add_middleware(Door, access=door, limits=LIMITS, scopes=["generate"], meter=meter)
        self.app.add_api_route("/echo", self.echo, methods=["POST"])
        self.app.add_api_route("/fail", self.fail, methods=["POST"])

    async def echo(self) -> dict[str, str]:
        self.entered += 1
        await self.may_answer.wait()
        return {"said": "hello"}

    async def fail(self, begun: bool = False) -> StreamingResponse:
        """Meets something unexpected, at once or in the middle of an answer."""

        async def pieces() -> AsyncIterator[str]:
            yield "A "
            raise RuntimeError(SECRET)

        if begun:
            return StreamingResponse(pieces())
        raise RuntimeError(SECRET)


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


def exchange(
    inside: Inside, messages: list[Message], wait: float, path: str, query: bytes = b""
) -> list[Message]:
    """What is sent to a client who sends these messages, and then, after a while, nothing."""
    sent: list[Message] = []
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
        "path": path,
        "query_string": query,
        "headers": [],
        "server": ("127.0.0.1", 80),
    }
    asyncio.run(inside.app(scope, receive, send))
    return sent


def ended(messages: list[Message], wait: float) -> list[Message]:
    """What is sent to a client whose request never comes whole."""
    inside = Inside(Access(None))
    sent = exchange(inside, messages, wait, "/echo")
    assert inside.entered == 0
    return sent


def test_a_slow_sender_is_not_waited_for() -> None:
    begun: Message = {"type": "http.request", "body": b"{", "more_body": True}

    assert ended([begun], wait=5)[0]["status"] == 408


@pytest.mark.parametrize("wait", [0, 0.05])
def test_a_sender_who_goes_away_is_forgotten(wait: float) -> None:
    begun: Message = {"type": "http.request", "body": b"{", "more_body": True}

    assert ended([begun], wait) == []


@pytest.mark.parametrize(("query", "status"), [(b"", 500), (b"begun=true", 200)])
def test_what_nobody_expected_is_counted_and_its_text_stands_in_no_log(
    caplog: pytest.LogCaptureFixture, query: bytes, status: int
) -> None:
    inside = Inside(Access(None))

    # An error that came out of the application would be logged by the server, text and all.
    sent = exchange(inside, [{"type": "http.request", "body": b"{}"}], 60, "/fail", query)

    told = {"model": "tiny", "route": "/fail", "status": str(status)}
    assert inside.registry.get_sample_value("stillhouse_requests_total", told) == 1
    assert [one["status"] for one in sent if "status" in one] == [status]
    assert "RuntimeError at " in caplog.text
    assert f"{Path(__file__).name}:" in caplog.text
    assert SECRET not in f"{caplog.text}{sent}"
    if status == 500:
        assert json.loads(sent[1]["body"])["error"]["type"] == "server_error"
    else:
        assert sent[-1]["more_body"], "a broken answer must not look like a whole one"
