"""An engine in a process of its own must be to its server what it is in the same process."""

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, closing
from pathlib import Path

import psutil
import pytest

from bentos.generator import engine_process
from bentos.generator.decoding import Decoding
from bentos.generator.engine import (
    Chunk,
    Completion,
    Engine,
    EngineError,
    EngineGoneError,
    PromptTooLongError,
    Scored,
    load_engine,
)
from bentos.generator.engine_process import (
    Ask,
    Desk,
    EngineProcess,
    Reply,
    Request,
)
from bentos.generator.prompt import Renderer

GREEDY = Decoding(max_new_tokens=40)
LONG = Decoding(max_new_tokens=200)


@pytest.fixture
def engine(converted: Path) -> Iterator[EngineProcess]:
    with closing(EngineProcess("openvino", converted)) as started:
        yield started


@pytest.fixture(scope="module")
def prompts(renderer: Renderer) -> list[list[int]]:
    return [
        renderer.encode(renderer.render([{"role": "user", "content": f"film {'x' * n}"}]))
        for n in range(8)
    ]


def running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def process(engine: EngineProcess) -> psutil.Process:
    return psutil.Process(engine._process.pid)


def test_answers_are_those_of_the_engine_in_this_process(
    engine: EngineProcess, converted: Path, prompts: list[list[int]]
) -> None:
    wanted = [
        GREEDY,
        Decoding(choices=("negative", "positive")),
        Decoding(max_new_tokens=8, logprobs=True),
    ]

    async def ask(one: Engine) -> list[Completion]:
        calls = (one.complete(prompt, decoding) for prompt in prompts for decoding in wanted)
        return list(await asyncio.gather(*calls))

    with closing(load_engine("openvino", converted)) as near:
        assert asyncio.run(ask(engine)) == asyncio.run(ask(near))
        assert engine.context_length == near.context_length


def test_streamed_pieces_add_up_to_the_answer(
    engine: EngineProcess, prompts: list[list[int]]
) -> None:
    async def ask() -> tuple[list[Chunk], Completion]:
        pieces = [chunk async for chunk in engine.stream(prompts[0], GREEDY)]
        return pieces, await engine.complete(prompts[0], GREEDY)

    pieces, whole = asyncio.run(ask())

    assert len(pieces) > 3
    assert "".join(piece.text for piece in pieces) == whole.text
    assert [piece.finish_reason for piece in pieces[:-1]] == [None] * (len(pieces) - 1)
    assert pieces[-1].completion_tokens == whole.completion_tokens


def test_a_refused_request_is_told_why_and_leaves_others_alone(
    engine: EngineProcess, prompts: list[list[int]]
) -> None:
    async def ask() -> list[Completion | BaseException]:
        calls = (engine.complete(ids, GREEDY) for ids in (prompts[0], [5] * 500, [], prompts[1]))
        return list(await asyncio.gather(*calls, return_exceptions=True))

    first, long, empty, last = asyncio.run(ask())

    assert isinstance(first, Completion)
    assert isinstance(last, Completion)
    assert isinstance(long, PromptTooLongError)
    assert "has 500 tokens; the model's context of 256 tokens" in str(long)
    assert type(empty) is ValueError
    assert "empty" in str(empty)


def test_who_waits_and_who_comes_hears_of_a_killed_process(
    engine: EngineProcess, prompts: list[list[int]]
) -> None:
    async def ask() -> list[Completion | BaseException]:
        waits = asyncio.create_task(engine.complete(prompts[0], LONG))
        async with aclosing(engine.stream(prompts[1], LONG)) as pieces:
            await anext(pieces)
            process(engine).kill()
            comes = await asyncio.gather(waits, return_exceptions=True)
            return [*comes, *await asyncio.gather(anext(pieces), return_exceptions=True)]  # type: ignore[list-item]

    async def ask_again() -> None:
        await engine.complete(prompts[0], GREEDY)

    async def both() -> list[Completion | BaseException]:
        heard = await asyncio.wait_for(ask(), 60)
        with pytest.raises(EngineGoneError, match="has ended"):
            await asyncio.wait_for(ask_again(), 60)
        return heard

    assert engine.is_alive
    assert [type(each) for each in asyncio.run(both())] == [EngineGoneError] * 2
    assert not engine.is_alive


def test_the_process_outlives_signals_that_are_meant_for_its_server(
    engine: EngineProcess, prompts: list[list[int]]
) -> None:
    for each in (signal.SIGINT, signal.SIGTERM):
        process(engine).send_signal(each)

    assert asyncio.run(engine.complete(prompts[0], GREEDY)).completion_tokens > 0


def test_a_closed_engine_refuses_requests_and_its_process_has_ended(
    engine: EngineProcess, prompts: list[list[int]]
) -> None:
    async def closed_while_it_answers() -> None:
        async with aclosing(engine.stream(prompts[0], LONG)) as pieces:
            await anext(pieces)
            await asyncio.to_thread(engine.close)
            with pytest.raises(EngineError, match="closed"):
                [piece async for piece in pieces]
        with pytest.raises(EngineError, match="closed"):
            await engine.complete(prompts[0], GREEDY)

    child = process(engine)
    asyncio.run(closed_while_it_answers())
    engine.close()

    assert not child.is_running()


def test_the_process_ends_with_its_server(converted: Path) -> None:
    killed = """
import os, pathlib, signal, sys
from bentos.generator.engine_process import EngineProcess
engine = EngineProcess("openvino", pathlib.Path(sys.argv[1]))
print(engine._process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    server = subprocess.run(
        [sys.executable, "-c", killed, str(converted)], stdout=subprocess.PIPE, timeout=120
    )
    child = int(server.stdout)
    until = time.monotonic() + 20
    while running(child) and time.monotonic() < until:
        time.sleep(0.05)

    assert server.returncode == -signal.SIGKILL
    assert not running(child)


def test_a_folder_that_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"misses .*config\.json"):
        EngineProcess("openvino", tmp_path)


class Endless:
    """An engine that says a word again and again, and counts who listens."""

    context_length = 256

    def __init__(self) -> None:
        self.listening = 0

    async def complete(self, prompt_ids: Sequence[int], decoding: Decoding) -> Completion:
        raise RuntimeError("a secret of this machine")

    async def stream(
        self, prompt_ids: Sequence[int], decoding: Decoding
    ) -> AsyncGenerator[Chunk, None]:
        self.listening += 1
        try:
            for number in range(10**9):
                yield Chunk("word ", None, number, (Scored(7, float("-inf")),))
                await asyncio.sleep(0.001)
        finally:
            self.listening -= 1

    def close(self) -> None:
        pass


class Asked:
    """Writes requests to a desk and reads its replies, as a server does."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def write(self, request: Request) -> None:
        self._writer.write(engine_process._framed(request))

    async def read(self) -> list[Reply]:
        message = await engine_process._message(self._reader)
        return engine_process._REPLIES.validate_json(message)

    def hang_up(self) -> None:
        self._writer.close()


@asynccontextmanager
async def asked(engine: Engine) -> AsyncIterator[Asked]:
    ours, theirs = socket.socketpair()
    server = Asked(*await asyncio.open_connection(sock=ours))
    reader, writer = await asyncio.open_connection(sock=theirs)
    with closing(writer):
        serving = asyncio.create_task(Desk(engine, writer).serve(reader))
        yield server
        server.hang_up()
        await asyncio.wait_for(serving, 20)


async def deaf(engine: Endless) -> bool:
    """Whether nobody listens to the engine any more, soon."""
    for _ in range(400):
        if engine.listening == 0:
            return True
        await asyncio.sleep(0.01)
    return False


def test_an_answer_that_nobody_waits_for_is_not_computed_further() -> None:
    engine = Endless()

    async def leave() -> tuple[int, bool]:
        async with asked(engine) as server:
            for number in (1, 2):
                server.write(Request(number, Ask([5], LONG, stream=True)))
            heard = set[int]()
            while heard != {1, 2}:
                heard |= {reply.number for reply in await server.read()}
            server.write(Request(1))
            while engine.listening == 2:
                await asyncio.wait_for(server.read(), 20)
            left = engine.listening
        return left, await deaf(engine)  # the server has hung up

    assert asyncio.run(leave()) == (1, True)


def test_log_probabilities_arrive_as_they_are_even_infinite_ones() -> None:
    async def first() -> Chunk | None:
        async with asked(Endless()) as server:
            server.write(Request(1, Ask([5], LONG, stream=True)))
            return (await server.read())[0].chunk

    assert asyncio.run(first()) == Chunk("word ", None, 0, (Scored(7, float("-inf")),))


def test_an_error_that_nobody_foresaw_tells_no_details() -> None:
    async def ask() -> Reply:
        async with asked(Endless()) as server:
            server.write(Request(1, Ask([5], LONG, stream=False)))
            return (await server.read())[0]

    reply = asyncio.run(ask())

    assert reply.failure is not None
    with pytest.raises(EngineError, match=r"^the engine failed at this request$"):
        reply.failure.raise_again()
