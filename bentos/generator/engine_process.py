"""An engine in a process of its own, so that a server hears its clients while the engine computes.

    engine = EngineProcess("openvino", Path("models/quantize/small-int8"))
    await engine.complete(renderer.encode(prompt), Decoding(choices=("negative", "positive")))

GenAI holds Python's lock during a step: in the server's process nobody would be heard meanwhile,
and one core would idle while HTTP is done between two steps. Both sides write messages to a socket
that only they have, each behind its length in bytes, and all answers of one moment together:

    {"number": 7, "ask": {"prompt": [504, 2], "decoding": {"max_new_tokens": 16}, "stream": false}}
    [{"number": 7, "completion": {"text": "positive", "prompt_tokens": 2, ...}}]
    {"number": 7}                                       nobody waits for this answer any more

A server that is gone closes its end, at which the engine's process ends.
"""

import asyncio
import itertools
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from pydantic import TypeAdapter
from pydantic_core import to_json

from bentos.generator.decoding import Decoding
from bentos.generator.engine import (
    Chunk,
    Completion,
    Engine,
    EngineError,
    EngineGoneError,
    Kind,
    PromptTooLongError,
    load_engine,
)

LENGTH_BYTES: Final = 8
SECONDS_TO_END: Final = 10.0
"""For the step that is being computed when the engine is closed."""

GONE: Final = "the engine's process has ended; come again in a minute"
CODE: Final = Path(__file__).parents[2]
"""Where the engine's process finds this package, as its server did."""

ERRORS: Final[dict[str, type[Exception]]] = {
    kind.__name__: kind for kind in (PromptTooLongError, ValueError, EngineGoneError, EngineError)
}
"""What Engine raises, the more special before what it is a kind of."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ask:
    """A prompt, how to answer it, and whether piece by piece."""

    prompt: list[int]
    decoding: Decoding
    stream: bool


@dataclass(frozen=True)
class Request:
    """What the server writes; without `ask`, nobody waits for that answer any more."""

    number: int
    ask: Ask | None = None


@dataclass(frozen=True)
class Failure:
    """An error of Engine, to be raised by the server as it was here: its name in ERRORS."""

    name: str
    arguments: tuple[int | str, ...]

    @classmethod
    def of(cls, error: Exception) -> "Failure":
        """What to tell of an error."""
        for name, kind in ERRORS.items():
            if isinstance(error, kind):
                return cls(name, error.args if kind is PromptTooLongError else (str(error),))
        _log.error("a request failed", exc_info=error)
        return cls(EngineError.__name__, ("the engine failed at this request",))

    def raise_again(self) -> NoReturn:
        """Raise the error that this tells of."""
        raise ERRORS[self.name](*self.arguments)


@dataclass(frozen=True)
class Reply:
    """What the engine's process writes of one request: one of these."""

    number: int
    chunk: Chunk | None = None
    completion: Completion | None = None
    failure: Failure | None = None

    @property
    def is_last(self) -> bool:
        """Whether nothing more is told of that request."""
        return self.chunk is None or self.chunk.finish_reason is not None


@dataclass(frozen=True)
class Ready:
    """The first thing that the engine's process writes: facts, or why it cannot serve."""

    context_length: int = 0
    refusal: str | None = None


_REQUEST, _REPLIES, _READY = TypeAdapter(Request), TypeAdapter(list[Reply]), TypeAdapter(Ready)


class EngineProcess:
    """See bentos.generator.engine.Engine; all requests must come from one event loop."""

    def __init__(
        self, kind: Kind, folder: Path, prefix_caching: bool = False, schemas: bool = False
    ) -> None:
        """Start the process and wait until it has loaded the model; arguments as `load_engine`'s.

        Raises:
            ValueError: the engine refuses the model.
            ChildProcessError: it ended while it loaded the model.
        """
        self._socket, theirs = socket.socketpair()
        options = [str(folder.absolute()), str(int(prefix_caching)), str(int(schemas))]
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno()), kind, *options],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": _path()},
            )
        self._context_length = self._wait()
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Queue[Reply]] = {}
        self._link: asyncio.Task[asyncio.StreamWriter] | None = None
        self._closed = self._gone = False

    @property
    def context_length(self) -> int:
        """Most tokens of prompt and answer together."""
        return self._context_length

    @property
    def is_alive(self) -> bool:
        """Whether the engine's process still runs."""
        return not self._gone and self._process.poll() is None

    async def complete(self, prompt_ids: Sequence[int], decoding: Decoding) -> Completion:
        """The whole answer; see Engine.complete."""
        async with aclosing(self._replies(Ask([*prompt_ids], decoding, stream=False))) as replies:
            async for reply in replies:
                if reply.completion is not None:
                    return reply.completion
        raise AssertionError("an answer ends with its completion")

    async def stream(
        self, prompt_ids: Sequence[int], decoding: Decoding
    ) -> AsyncGenerator[Chunk, None]:
        """The answer piece by piece; see Engine.stream."""
        async with aclosing(self._replies(Ask([*prompt_ids], decoding, stream=True))) as replies:
            async for reply in replies:
                if reply.chunk is not None:
                    yield reply.chunk

    def close(self) -> None:
        """Fail what is under way, end the process and free the model. Idempotent."""
        self._closed = True
        with suppress(OSError):  # it may have ended before
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._link is None:
            self._socket.close()
        try:
            self._process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _wait(self) -> int:
        with self._socket.makefile("rb") as heard:
            length = int.from_bytes(heard.read(LENGTH_BYTES))
            message = heard.read(length)
        if not message:
            self._socket.close()
            raise ChildProcessError(f"the engine's process ended with {self._process.wait()}")
        ready = _READY.validate_json(message)
        if ready.refusal is not None:
            self._socket.close()
            self._process.wait()
            raise ValueError(ready.refusal)
        return ready.context_length

    async def _replies(self, ask: Ask) -> AsyncGenerator[Reply, None]:
        """All that is told of a request; closing this early frees what it holds."""
        if self._link is None:
            self._link = asyncio.create_task(self._connect())
        writer = await asyncio.shield(self._link)
        self._check()
        number, replies = next(self._numbers), asyncio.Queue[Reply]()
        writer.write(_framed(Request(number, ask)))
        self._waiting[number], over = replies, False
        try:
            while not over:
                reply = await replies.get()
                over = reply.is_last
                if reply.failure is not None:
                    reply.failure.raise_again()
                yield reply
        finally:
            del self._waiting[number]
            if not over:
                writer.write(_framed(Request(number)))

    def _check(self) -> None:
        if self._closed:
            raise EngineError("the engine is closed")
        if self._gone:
            raise EngineGoneError(GONE)

    async def _connect(self) -> asyncio.StreamWriter:
        reader, writer = await asyncio.open_connection(sock=self._socket)
        self._listening = asyncio.create_task(self._listen(reader, writer))
        return writer

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hand replies to those who wait, until there is nobody to reply."""
        with suppress(asyncio.IncompleteReadError, ConnectionError), closing(writer):
            while True:
                for reply in _REPLIES.validate_json(await _message(reader)):
                    if (waiting := self._waiting.get(reply.number)) is not None:
                        waiting.put_nowait(reply)
        self._gone = True
        error = EngineError("the engine was closed") if self._closed else EngineGoneError(GONE)
        if not self._closed:
            _log.error(GONE)
        for number, waiting in self._waiting.items():
            waiting.put_nowait(Reply(number, failure=Failure.of(error)))


class Desk:
    """The other end: asks an engine what the server writes, and writes what it says."""

    def __init__(self, engine: Engine, writer: asyncio.StreamWriter) -> None:
        self._engine, self._writer = engine, writer
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._replies: list[Reply] = []

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Answer until the server closes its end, then drop what is under way."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                self._take(_REQUEST.validate_json(await _message(reader)))
        for task in self._under_way.values():
            task.cancel()

    def _take(self, request: Request) -> None:
        number, ask = request.number, request.ask
        if ask is not None:
            task = asyncio.create_task(self._answer(number, ask))
            self._under_way[number] = task
            task.add_done_callback(lambda _: self._under_way.pop(number))
        elif (task_of := self._under_way.get(number)) is not None:
            task_of.cancel()

    async def _answer(self, number: int, ask: Ask) -> None:
        try:
            if not ask.stream:
                completion = await self._engine.complete(ask.prompt, ask.decoding)
                self._tell(Reply(number, completion=completion))
                return
            async with aclosing(self._engine.stream(ask.prompt, ask.decoding)) as chunks:
                async for chunk in chunks:
                    self._tell(Reply(number, chunk=chunk))
        except Exception as error:
            self._tell(Reply(number, failure=Failure.of(error)))

    def _tell(self, reply: Reply) -> None:
        """Write it with what others are told at this moment: a write costs more than a reply."""
        if not self._replies:
            asyncio.get_running_loop().call_soon(self._write)
        self._replies.append(reply)

    def _write(self) -> None:
        self._writer.write(_framed(self._replies))
        self._replies = []


async def _message(reader: asyncio.StreamReader) -> bytes:
    length = int.from_bytes(await reader.readexactly(LENGTH_BYTES))
    return await reader.readexactly(length)


def _framed(said: Request | Sequence[Reply] | Ready) -> bytes:
    # A log-probability may be minus infinity, which JSON has no word for.
    message = to_json(said, inf_nan_mode="constants")
    return len(message).to_bytes(LENGTH_BYTES) + message


def _path() -> str:
    inherited = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(CODE), *([inherited] if inherited else [])])


async def _serve(engine: Engine, ours: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=ours)
    with closing(writer):
        await Desk(engine, writer).serve(reader)


def main(arguments: Sequence[str]) -> int:
    """The engine's process: a socket's number, kind, folder, prefix caching and schemas as 0 or 1.

    It ends when its server's end of the socket is closed, not by a signal that a terminal or a
    service manager sends to both: the server has answers to finish.
    """
    number, kind, folder, prefix_caching, schemas = arguments
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    chosen = TypeAdapter[Kind](Kind).validate_python(kind)
    with socket.socket(fileno=int(number)) as ours:
        try:
            engine = load_engine(chosen, Path(folder), prefix_caching == "1", schemas == "1")
        except (OSError, ValueError) as error:
            ours.sendall(_framed(Ready(refusal=str(error))))
            return 1
        with closing(engine):
            ours.sendall(_framed(Ready(engine.context_length)))
            asyncio.run(_serve(engine, ours))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
