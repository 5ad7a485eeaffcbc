"""A limit of time that keeps nothing of a request once that is over.

async with within(seconds):
    answer = await work
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import Context


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """As asyncio.timeout, with a timer that is made in an empty context.

    An event loop forgets a cancelled timer when its time has come, or when more than half of all
    timers are cancelled; until then the timer holds the context that it was made in, which BentoML
    hangs the whole request on: some 10 kB, for as long as an answer may take.

    Raises:
        TimeoutError: the time is over.
    """
    async with asyncio.timeout(None) as limit:
        Context().run(limit.reschedule, asyncio.get_running_loop().time() + seconds)
        yield
