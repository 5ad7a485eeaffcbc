"""A stream of events ends with its final piece, and with its client."""

import asyncio
from collections.abc import AsyncGenerator

from starlette.types import Message

from bentos.web.event_stream import LAST, EventStream, sse


def sent(pieces: AsyncGenerator[bytes, None], stays: float = 60) -> list[Message]:
    """What a client hears who stays so many seconds."""
    heard: list[Message] = []

    async def receive() -> Message:
        await asyncio.sleep(stays)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        heard.append(message)

    asyncio.run(EventStream(pieces)({"type": "http"}, receive, send))
    return heard


async def whole() -> AsyncGenerator[bytes, None]:
    yield sse({"text": "h\u00e9"})
    yield sse({"text": "llo"}) + LAST


async def broken() -> AsyncGenerator[bytes, None]:
    yield sse({"text": "data: [DONE]\n\n"})


def test_the_response_ends_with_its_final_piece() -> None:
    start, *body = sent(whole())

    assert (b"content-type", b"text/event-stream; charset=utf-8") in start["headers"]
    assert [(each["body"], each["more_body"]) for each in body] == [
        ('data: {"text":"h\u00e9"}\n\n'.encode(), True),
        (b'data: {"text":"llo"}\n\ndata: [DONE]\n\n', False),
    ]


def test_a_stream_without_a_final_piece_ends_too_whatever_its_text_says() -> None:
    _, piece, end = sent(broken())

    assert (piece["more_body"], end["body"], end["more_body"]) == (True, b"", False)


def test_a_client_who_goes_away_closes_the_stream() -> None:
    closed: list[bool] = []

    async def endless() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield sse({})
                await asyncio.sleep(0.001)
        finally:
            closed.append(True)

    heard = sent(endless(), stays=0.05)

    assert closed == [True]
    assert all(each["more_body"] for each in heard[1:])


def test_a_client_who_goes_away_while_a_piece_is_being_sent_closes_the_stream_at_once() -> None:
    closed: list[bool] = []

    async def pieces() -> AsyncGenerator[bytes, None]:
        try:
            yield sse({})
        finally:
            closed.append(True)

    async def receive() -> Message:
        await asyncio.sleep(0.01)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if "body" in message:
            await asyncio.sleep(60)

    async def scenario() -> None:
        response = EventStream(pieces())
        await response({"type": "http"}, receive, send)
        assert closed == [True]

    asyncio.run(scenario())
