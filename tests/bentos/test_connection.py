"""Work for a client ends with the client."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from fastapi import Request
from starlette.types import Message

from bentos.web.connection import while_connected


def outcome(work: Coroutine[Any, Any, str], stays: float) -> str | None:
    """What comes of the work for a client who stays so many seconds."""

    async def receive() -> Message:
        await asyncio.sleep(stays)
        return {"type": "http.disconnect"}

    async def call() -> str | None:
        result = await while_connected(Request({"type": "http"}, receive), work)
        await asyncio.sleep(0)  # a turn in which what was cancelled ends
        return result

    return asyncio.run(call())


def test_a_client_who_stays_gets_what_was_computed() -> None:
    async def work() -> str:
        return "answer"

    assert outcome(work(), stays=60) == "answer"


def test_what_failed_is_told_to_a_client_who_stays() -> None:
    async def work() -> str:
        raise ValueError("no such thing")

    with pytest.raises(ValueError, match="no such thing"):
        outcome(work(), stays=60)


def test_work_for_a_client_who_goes_away_is_cancelled() -> None:
    cancelled: list[bool] = []

    async def work() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return "answer"

    assert outcome(work(), stays=0.01) is None
    assert cancelled == [True]


def test_who_ends_the_call_ends_it_even_if_the_client_leaves_at_that_moment() -> None:
    async def scenario() -> None:
        left = asyncio.Event()

        async def receive() -> Message:
            await left.wait()
            return {"type": "http.disconnect"}

        request = Request({"type": "http"}, receive)
        call = asyncio.create_task(while_connected(request, asyncio.sleep(60)))
        await asyncio.sleep(0.01)
        left.set()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(scenario())


def test_a_client_who_leaves_when_all_is_done_cancels_nothing_after_it() -> None:
    async def scenario() -> str | None:
        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async def work() -> str:
            return "answer"

        found = await while_connected(Request({"type": "http"}, receive), work())
        await asyncio.sleep(0.01)
        return found

    assert asyncio.run(scenario()) == "answer"


def test_work_that_takes_too_long_says_so_to_a_client_who_stays() -> None:
    async def work() -> str:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)
        return "answer"

    with pytest.raises(TimeoutError):
        outcome(work(), stays=60)
