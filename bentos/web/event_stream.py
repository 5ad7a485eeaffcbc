"""Server-sent events, as OpenAI's API streams answers.

async def pieces():
    yield sse({"choices": [...]})
    yield LAST

return EventStream(pieces())
"""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Final

from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from bentos.web.connection import CLIENT_GONE, while_connected

LAST: Final = b"data: [DONE]\n\n"


def sse(body: Mapping[str, object]) -> bytes:
    """One event."""
    return f"data: {json.dumps(body, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()


class EventStream(StreamingResponse):
    """Pieces of one event or several each, of which the final one ends with LAST.

    What is sent costs by the send and by the task, so the response ends with its final piece, and
    is sent by the task that made it. It begins with the first one: what fails before is an error's
    response, not a stream that breaks off.
    """

    def __init__(
        self, pieces: AsyncGenerator[bytes, None], headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(pieces, headers=headers, media_type="text/event-stream")
        self._pieces, self._begun = pieces, False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all pieces; a client who goes away closes them."""
        await while_connected(Request(scope, receive), self.stream_response(send))
        if not self._begun:
            await Response(status_code=CLIENT_GONE)(scope, receive, send)

    async def stream_response(self, send: Send) -> None:
        """Send all pieces. A stream that broke off has no final one."""
        more = True
        async with aclosing(self._pieces):
            async for piece in self._pieces:
                await self._begin(send)
                more = not piece.endswith(LAST)
                await send({"type": "http.response.body", "body": piece, "more_body": more})
        if more:
            await self._begin(send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _begin(self, send: Send) -> None:
        if not self._begun:
            self._begun = True
            head = {"status": self.status_code, "headers": self.raw_headers}
            await send({"type": "http.response.start", **head})
