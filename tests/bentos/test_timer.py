import asyncio
import gc
import weakref
from contextvars import ContextVar, copy_context

import pytest

from bentos.web.timer import within


class _Request:
    """As large as one likes."""


REQUEST: ContextVar[_Request] = ContextVar("request")


async def _handle() -> "weakref.ref[_Request]":
    request = _Request()
    REQUEST.set(request)
    async with within(60):
        await asyncio.sleep(0)
    return weakref.ref(request)


def test_a_timer_that_is_over_keeps_nothing_of_its_request() -> None:
    async def serve() -> None:
        # Others that are due sooner or still run keep an event loop from tidying up.
        asyncio.get_running_loop().call_later(30, print)
        request = await asyncio.create_task(_handle(), context=copy_context())
        await asyncio.sleep(0)  # the task's last step is still at hand
        gc.collect()
        assert request() is None

    asyncio.run(serve())


def test_time_is_up() -> None:
    async def slow() -> None:
        async with within(0.01):
            await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        asyncio.run(slow())


def test_a_time_that_is_past_is_up() -> None:
    async def slow() -> None:
        async with within(-1):
            await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        asyncio.run(slow())
