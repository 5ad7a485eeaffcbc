"""Work for a client who may go away: nobody computes for nobody.

answer = await while_connected(request, engine.complete(prompt, decoding))
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from fastapi import Request

CLIENT_GONE: Final = 499
"""Status of an answer that nobody waits for, as nginx has it."""

Result = TypeVar("Result")


async def while_connected(request: Request, work: Coroutine[Any, Any, Result]) -> Result | None:
    """The result, or None when the client went away, which cancels the work.

    The request's body must have been read: what comes after it tells of the client alone.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for one in (task, gone):
            one.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
