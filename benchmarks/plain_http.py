"""One request over a socket of its own: a client library would take cores away from the server.

async with posted(3000, "/v1/chat/completions", {"messages": [...]}) as (status, lines):
    async for line in lines: ...
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

HOST: Final = "127.0.0.1"


@asynccontextmanager
async def posted(
    port: int, path: str, body: Mapping[str, Any]
) -> AsyncIterator[tuple[int, asyncio.StreamReader]]:
    """The status, and the lines of what follows; leaving early hangs up.

    Raises:
        OSError: nobody listens, or the connection broke before a status came.
    """
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(head.encode() + content)
        line = (await reader.readline()).split()
        if len(line) < 2:
            raise ConnectionResetError("the connection ended before a status came")
        yield int(line[1]), reader
    finally:
        writer.close()
