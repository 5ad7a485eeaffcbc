"""Requests over plain sockets: a client library would take cores away from the server.

async with posted(3000, "/v1/chat/completions", {"messages": [...]}) as (status, lines):
    async for line in lines: ...

async with connections(3000) as post:        # used again, as clients of OpenAI's library do
    async with post("/v1/completions", {"prompt": "..."}) as (status, pieces):
        async for piece in pieces: ...
"""

import asyncio
import functools
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

HOST: Final = "127.0.0.1"
END_OF_HEAD: Final = b"\r\n\r\n"
LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
CLOSES: Final = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Post = Callable[
    [str, Mapping[str, Any]], AbstractAsyncContextManager[tuple[int, AsyncIterator[bytes]]]
]


@asynccontextmanager
async def posted(
    port: int, path: str, body: Mapping[str, Any]
) -> AsyncIterator[tuple[int, asyncio.StreamReader]]:
    """By a connection of its own: status, and lines of what follows; leaving early hangs up.

    Raises:
        OSError: nobody listens, or the connection broke before a status came.
    """
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(_request(path, body, "close"))
        line = (await reader.readline()).split()
        if len(line) < 2:
            raise ConnectionResetError("the connection ended before a status came")
        yield int(line[1]), reader
    finally:
        writer.close()


@asynccontextmanager
async def connections(port: int) -> AsyncIterator[Post]:
    """Posts by connections that stay open between requests: the status, and the body in pieces."""
    idle: list[Connection] = []
    try:
        yield functools.partial(_post, port, idle)
    finally:
        for _, writer in idle:
            writer.close()


@asynccontextmanager
async def _post(
    port: int, idle: list[Connection], path: str, body: Mapping[str, Any]
) -> AsyncIterator[tuple[int, AsyncIterator[bytes]]]:
    while idle and idle[-1][0].at_eof():  # the server has closed it
        idle.pop()[1].close()
    reader, writer = idle.pop() if idle else await asyncio.open_connection(HOST, port)
    unread = True

    async def pieces(head: bytes) -> AsyncIterator[bytes]:
        nonlocal unread
        if CHUNKED.search(head):
            while size := int(await reader.readline(), 16):
                yield (await reader.readexactly(size + 2))[:-2]
            await reader.readline()
        elif length := LENGTH.search(head):
            yield await reader.readexactly(int(length[1]))
        else:
            yield await reader.read()
        unread = False

    try:
        writer.write(_request(path, body, "keep-alive"))
        head = await reader.readuntil(END_OF_HEAD)
        yield int(head.split(maxsplit=2)[1]), pieces(head)
        unread = unread or CLOSES.search(head) is not None
    finally:
        if unread or reader.at_eof():
            writer.close()
        else:
            idle.append((reader, writer))


def _request(path: str, body: Mapping[str, Any], connection: str) -> bytes:
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: {connection}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content
