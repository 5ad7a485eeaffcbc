"""A service of one model, started and asked over HTTP.

    with of_candidate(folder, "openvino", task) as service:     # or of_bento(tag, home, task)
        answers = service.answer_all(rows, Traffic(32), progress_label="evaluate:small-int8")

What a request costs includes its way through HTTP, and with a small model that is much of it. The
client shares the machine with the server, so it speaks over plain sockets: it then takes less than
a hundredth of it, where a client library would take a fifth.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psutil

from bentos.generator import serving
from bentos.generator.engine import Completion, Kind, Scored
from bentos.web import access
from bentos.web.limits import Limits
from tasks import paths, scoring
from tasks.config import Task
from tasks.errors import ModelError
from tasks.records import Record
from tasks.scoring import Answers, Traffic

HOST = "127.0.0.1"
NAME = "evaluated"
SECONDS_TO_START = 120
SECONDS_TO_END = 20
ANSWER_SECONDS = 600
REFUSAL = "cannot serve:"
"""What the service says when it cannot use the model."""
SCRATCH = "stillhouse-service-"
CODE = Path(__file__).parents[1]

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextmanager
def of_candidate(folder: Path, engine: Kind, task: Task) -> Iterator["Service"]:
    """The code of bentos/ with a candidate's weights, once it answers.

    Raises:
        ModelError: it ended, or took too long; with the end of what it printed.
    """
    with tempfile.TemporaryDirectory(prefix=SCRATCH) as scratch:
        model = _stage(Path(scratch) / "model", folder, engine, task)
        told = {
            "STILLHOUSE_MODEL": str(model),
            "BENTOML_HOME": str(paths.state() / "bentoml"),
            "PYTHONPATH": str(CODE),
        }
        started = Service("bentos.generator.service:Generator", Path(scratch), told, task)
        with started.running():
            yield started


@contextmanager
def of_bento(tag: str, home: Path, task: Task) -> Iterator["Service"]:
    """A stored Bento, as it is, once it answers.

    Raises:
        ModelError: it ended, or took too long; with the end of what it printed.
    """
    with tempfile.TemporaryDirectory(prefix=SCRATCH) as scratch:
        # It holds all that it needs: nothing of the checkout may stand in for it.
        told = {"BENTOML_HOME": str(home), "PYTHONPATH": ""}
        started = Service(tag, Path(scratch), told, task)
        with started.running():
            yield started


class Service:
    """A server process of its own on loopback."""

    def __init__(
        self, target: str, scratch: Path, environment: Mapping[str, str], task: Task
    ) -> None:
        """Start what `bentoml serve` calls `target`, in an empty folder."""
        self._log = scratch / "log"
        self.port, self._task = free_port(), task
        self._process = _start(target, self.port, scratch, environment, self._log)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Wait until it answers; end it with the context."""
        try:
            self._wait()
            yield
        finally:
            end(self._process)

    def answer_all(
        self,
        records: Sequence[Record],
        traffic: Traffic,
        progress_label: str,
        confidence: bool = False,
    ) -> Answers:
        """Send all requests as the traffic has them, and wait for every answer.

        Raises:
            ModelError: the server refused or failed a request.
        """
        return asyncio.run(self._answer_all(records, traffic, progress_label, confidence))

    async def _answer_all(
        self, records: Sequence[Record], traffic: Traffic, progress_label: str, confidence: bool
    ) -> Answers:
        idle: list[Stream] = []

        async def complete(record: Record) -> Completion:
            stream = idle.pop() if idle else await asyncio.open_connection(HOST, self.port)
            completion = await _ask(stream, record, confidence)
            idle.append(stream)
            return completion

        try:
            return await scoring.ask(complete, records, self._task, traffic, progress_label)
        finally:
            for _, writer in idle:
                writer.close()

    def _wait(self) -> None:
        until = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < until and self._process.poll() is None and not self._refused():
            try:
                urlopen(f"http://{HOST}:{self.port}/readyz", timeout=5).close()
                return
            except (URLError, OSError):
                time.sleep(0.1)
        raise ModelError(f"the service did not start: {self._said()[-2000:]}")

    def _refused(self) -> bool:
        """BentoML starts a worker again and again, even one that said why it never will."""
        return REFUSAL in self._said()

    def _said(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a server and its workers, which may be in process groups of their own."""
    workers = _children(process.pid)
    process.terminate()
    try:
        process.wait(SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for worker in workers:
        with suppress(psutil.NoSuchProcess):
            worker.kill()


def _stage(target: Path, folder: Path, engine: Kind, task: Task) -> Path:
    """The model's files, and beside them what packaging would tell its service."""
    target.mkdir()
    for file in folder.iterdir():
        (target / file.name).symlink_to(file.absolute())
    told = serving.Serving(
        workload=NAME,
        model_name=NAME,
        engine=engine,
        input_fields=task.input_fields,
        prompt=task.prompt,
        decoding=task.decoding(),
        # The traffic says how many are inside at once; whoever waits too long is told of.
        limits=Limits(concurrent_requests=10_000, answer_seconds=ANSWER_SECONDS),
    )
    serving.write(told, target)
    return target


def _start(
    target: str, port: int, folder: Path, environment: Mapping[str, str], log: Path
) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "bentoml", "serve", target]
    whole = {**os.environ, "BENTOML_DO_NOT_TRACK": "True", **environment}
    whole.pop(access.VARIABLE, None)  # on loopback it needs no keys
    with log.open("wb") as sink:
        return subprocess.Popen(
            [*command, "--host", HOST, "--port", str(port)],
            cwd=folder,
            env=whole,
            stdout=sink,
            stderr=sink,
        )


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


async def _ask(stream: Stream, record: Record, confidence: bool) -> Completion:
    reader, writer = stream
    asked: dict[str, object] = {"messages": record.messages}
    if record.tools:
        asked["tools"] = record.tools  # it refuses them: better than to be asked something else
    if confidence:
        asked["logprobs"] = True
    body = json.dumps(asked).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    said = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = int(said.partition("content-length:")[2].partition("\r\n")[0])
    answer = await reader.readexactly(length)
    if " 200 " not in said.partition("\r\n")[0]:
        text = answer.decode(errors="replace")
        raise ModelError(f"the service did not answer record {record.id}: {text}")
    whole = json.loads(answer)
    choice, usage = whole["choices"][0], whole["usage"]
    told = (choice["logprobs"] or {"content": ()})["content"]
    return Completion(
        choice["message"]["content"] or "",
        usage["prompt_tokens"],
        usage["completion_tokens"],
        choice["finish_reason"],
        tuple(Scored(None, each["logprob"]) for each in told),
    )
