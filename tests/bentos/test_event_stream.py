"""A stream of events ends with its final piece, and with its client."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from starlette.types import Message

from bentos.web.connection import CLIENT_GONE
from bentos.web.event_stream import LAST, EventStream, sse


def sent(
    pieces: AsyncGenerator[bytes, None], stays: float = 60, heard: list[Message] | None = None
) -> list[Message]:
    """What a client hears who stays so many seconds."""
    heard = [] if heard is None else heard

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


def test_what_fails_before_the_first_piece_is_for_the_application_to_answer() -> None:
    heard: list[Message] = []

    async def refused() -> AsyncGenerator[bytes, None]:
        raise ValueError("the prompt is too long")
        yield b""

    with pytest.raises(ValueError, match="too long"):
        sent(refused(), heard=heard)
    assert heard == []


def test_a_client_who_goes_away_before_the_first_piece_is_noted_as_gone() -> None:
    async def slow() -> AsyncGenerator[bytes, None]:
        await asyncio.sleep(60)
        yield sse({})

    start, end = sent(slow(), stays=0.01)

    assert (start["status"], end["body"]) == (CLIENT_GONE, b"")


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
