"""Work for a client who may go away: nobody computes for nobody.

answer = await while_connected(request, engine.complete(prompt, decoding))
"""

import asyncio
from collections.abc import Awaitable
from typing import Final, TypeVar

from fastapi import Request

CLIENT_GONE: Final = 499
"""Status of an answer that nobody waits for, as nginx has it."""

Result = TypeVar("Result")


async def while_connected(request: Request, work: Awaitable[Result]) -> Result | None:
    """The result, or None when the client went away, which cancels the work.

    The request's body must have been read: what comes after it tells of the client alone. The work
    is done by the calling task, which is cancelled and takes that back, as asyncio.timeout does.
    """
    here = asyncio.current_task()
    if here is None:
        raise RuntimeError("nobody can wait outside a task")
    earlier, over, left = here.cancelling(), False, False

    def leave(gone: "asyncio.Future[None]") -> None:
        nonlocal left
        if not (over or gone.cancelled()):
            left = True
            here.cancel()

    gone = asyncio.ensure_future(_disconnected(request))
    gone.add_done_callback(leave)
    try:
        return await work
    except asyncio.CancelledError:
        if left and here.uncancel() <= earlier:
            return None
        raise
    finally:
        over = True
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
