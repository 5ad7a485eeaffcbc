"""One request between the event loop that waits for it and the thread that computes it.

job = Job(prompt_ids, decoding, answer, stream=False, loop=asyncio.get_running_loop())
job.tell(answer.chunk(piece))      # in the engine's thread
await job.completion()             # in the loop
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from bentos.generator.answer import Answer
from bentos.generator.decoding import Decoding
from bentos.generator.engine import Chunk, Completion


@dataclass(eq=False)
class Job:
    """See the module.

    Attributes:
        stream: whether pieces are told as they come, or the last one only.
        abandoned: nobody waits any more.
    """

    prompt: Sequence[int]
    decoding: Decoding
    answer: Answer
    stream: bool
    loop: asyncio.AbstractEventLoop
    events: asyncio.Queue[Chunk | Exception] = field(default_factory=asyncio.Queue)
    abandoned: bool = False

    def tell(self, event: Chunk | Exception) -> None:
        """Hand something to the waiting event loop, which may be closed by now."""
        try:
            self.loop.call_soon_threadsafe(self.events.put_nowait, event)
        except RuntimeError:
            self.abandoned = True

    async def completion(self) -> Completion:
        """The whole answer; cancelling the call abandons the job. Raises what was told."""
        async with aclosing(self.chunks()) as chunks:
            async for _ in chunks:
                pass
        return self.answer.completion(len(self.prompt))

    async def chunks(self) -> AsyncGenerator[Chunk, None]:
        """What is told, up to the last piece; closing it abandons the job. Raises what was told."""
        try:
            while True:
                event = await self.events.get()
                if isinstance(event, Exception):
                    raise event
                yield event
                if event.finish_reason is not None:
                    return
        finally:
            self.abandoned = True
