"""The served Bento beside other servers of the same weights, on the same machine and requests.

    make install && .venv/bin/python -m benchmarks.servers 10 [--vllm PYTHON] [--libraries PYTHON]

The weights are the base model's, which all of these servers can read: this is about serving, not
about smaller models. Requests are the prompts of the workloads sentiment, translation and
summarization, each with as many tokens to answer as its reference has; drawn freely, so that no
grammar counts, and none is sent twice while there are others: some servers remember prompts. Each
server takes them by streaming /v1/completions from 1, 8, 32 and 64 clients, each of which sends its
next request when the last one is answered, for so many seconds a mix and number. What was left out,
or did not start, is told with the reason. CTranslate2 and ONNX Runtime GenAI have no server: they
take batches as large as there are clients (benchmarks/libraries.py). What BentoML adds to its
engine is told by benchmarks/http_overhead.py. Writes benchmarks/results/servers.json.
Budget for 10 seconds: an hour on 2 cores, twenty minutes of it for vLLM.
"""

import argparse
import asyncio
import functools
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import httpx
import numpy as np

from benchmarks.libraries import LIBRARIES, WARM_SECONDS
from benchmarks.plain_http import Post, connections
from benchmarks.pruning import House, demo
from benchmarks.release import RESULTS
from bentos.generator.prompt import Renderer
from tasks import evaluation_report, paths, records, service, stage
from tasks.config import Task
from tasks.errors import ModelError
from tasks.params import load_yaml
from tasks.records import Record

RESULT = RESULTS / "servers.json"
MIXES = ("sentiment", "translation", "summarization")
CLIENTS = (1, 8, 32, 64)
OURS, TRANSFORMERS = "stillhouse int8", "transformers serve"
EVENT: Final = b"data: {"
SECONDS_TO_START = 300.0
ROWS = 4000
BASE = "fetch/base"
QUANTIZED = {
    "int8": {"from": BASE, "bits": 8, "parity_rows": 8},
    "q8": {"from": BASE, "format": "gguf", "scheme": "q8_0"},
}
LIBRARY_SECONDS = 1800.0
VLLM = ("-m", "vllm.entrypoints.openai.api_server", "--max-model-len", "2048")
LLAMA_CPP = """
import sys, time, xllamacpp
model, port, clients = sys.argv[1:]
parameters = xllamacpp.CommonParams()
parameters.model.path, parameters.hostnames, parameters.port = model, ["127.0.0.1"], int(port)
parameters.n_parallel, parameters.n_ctx = int(clients), 512 * int(clients)
server = xllamacpp.Server(parameters)
time.sleep(1e9)
"""


class Ask(NamedTuple):
    """One request: a prompt, and how many tokens its answer may have."""

    prompt: str
    tokens: int


class Reply(NamedTuple):
    """What came back, read when the clock has stopped: clients share the server's cores.

    Attributes:
        body: a stream of events.
        first: seconds to the first piece.
        whole: seconds to the end.
    """

    body: bytes
    first: float
    whole: float

    def text(self) -> str:
        """The answer; empty where nothing came but the end.

        Raises:
            ModelError: the server told of an error.
        """
        lines = (line for line in self.body.splitlines() if line.startswith(EVENT))
        events = [json.loads(line.removeprefix(b"data: ")) for line in lines]
        failed = [event["error"] for event in events if "error" in event]
        if failed:
            raise ModelError(str(failed[0]))
        return "".join(
            choice.get("text") or "" for event in events for choice in event.get("choices", ())
        )


Answer = TypeVar("Answer")


class Server(NamedTuple):
    """One that is up; `model` is what it calls the weights."""

    port: int
    model: str


def main(arguments: list[str]) -> None:
    """Make the weights, ask every server, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.servers")
    parser.add_argument("seconds", type=float)
    parser.add_argument("--vllm", type=Path, help="Python of an environment that has its CPU build")
    parser.add_argument("--libraries", type=Path, help=f"the same of {', '.join(LIBRARIES)}")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="stillhouse-servers-") as scratch:
        root, mixes = made(Path(scratch) / "house")
        result = compare(root, mixes, options.seconds, options.vllm)
        records.write_report(RESULT, result)
        if options.libraries is not None:
            result["libraries_alone"] = {
                name: _library(options.libraries, name, root, mixes, options.seconds)
                for name in LIBRARIES
            }
    records.write_report(RESULT, result)
    print(json.dumps(result, indent=2))


def compare(
    root: Path, mixes: Mapping[str, Sequence[Ask]], seconds: float, vllm: Path | None
) -> dict[str, Any]:
    """All servers one after the other."""
    renderer = Renderer.from_folder(root / paths.candidate(BASE))
    found: dict[str, Any] = {}
    for name, started in _servers(root, vllm).items():
        try:
            with started() as server:
                found[name] = asyncio.run(_measured(server, mixes, seconds, renderer))
        except* (ModelError, OSError) as errors:
            found[name] = {"not measured": _last_line(str(_first(errors)))}
        print(f"{name}: {found[name]}", file=sys.stderr, flush=True)
    return {
        "hardware": evaluation_report.hardware(),
        "weights": BASE,
        "seconds_each": seconds,
        "servers": found,
        "times_transformers": _ratios(found),
    }


def made(root: Path) -> tuple[Path, dict[str, list[Ask]]]:
    """A clone with the weights in every format, and the requests of every mix."""
    house, mixes = House(root), dict[str, list[Ask]]()
    for mix in MIXES:
        content = load_yaml(paths.WORKLOADS / f"{mix}.yaml")
        house.make("prepare", budget="quick", content=content)
        rows = records.read(root / paths.TRAIN, Record)[:ROWS]
        renderer = Renderer.from_folder(root / paths.candidate(BASE))
        mixes[mix] = [Ask(row.prompt, len(renderer.encode(row.reference))) for row in rows]
    content = demo("quick") | {"quantize": QUANTIZED}
    house.make(*(f"quantize@{name}" for name in QUANTIZED), budget="quick", content=content)
    return root, mixes


def _servers(root: Path, vllm: Path | None) -> dict[str, Callable[[], Any]]:
    base, scripts = root / paths.candidate(BASE), Path(sys.executable).parent
    gguf = root / paths.candidate("quantize/q8") / "model.gguf"
    plain = [str(scripts / "transformers"), "serve", str(base), "--device", "cpu"]
    batching = [*plain, "--continuous-batching"]
    told: dict[str, Callable[[], Any]] = {
        OURS: lambda: bento(root),
        TRANSFORMERS: lambda: _process([*plain, "--port", "{port}"], str(base)),
        f"{TRANSFORMERS}, continuous batching": lambda: _process(
            [*batching, "--port", "{port}"], str(base)
        ),
        "llama.cpp q8_0": lambda: _process(
            [sys.executable, "-c", LLAMA_CPP, str(gguf), "{port}", str(max(CLIENTS))], "any"
        ),
        "vllm": lambda: _process(
            [str(vllm), *VLLM, "--model", str(base), "--port", "{port}"],
            str(base),
        ),
    }
    if vllm is None:
        told.pop("vllm")
    return told


@contextmanager
def bento(root: Path) -> Iterator[Server]:
    """What packaging would serve, for any text."""
    folder = root / paths.candidate("quantize/int8")
    with service.of_candidate(folder, "openvino", Task(kind="chat")) as started:
        yield Server(started.port, service.NAME)


@contextmanager
def _process(command: Sequence[str], model: str) -> Iterator[Server]:
    """Another server, once it answers a request.

    Raises:
        ModelError: it ended, or took too long; with the end of what it printed.
    """
    port = service.free_port()
    with tempfile.NamedTemporaryFile("w+b", prefix="stillhouse-server-") as log:
        process = subprocess.Popen(
            [part.replace("{port}", str(port)) for part in command],
            stdout=log,
            stderr=log,
            env={**os.environ, "VLLM_CPU_KVCACHE_SPACE": "2", "HF_HUB_OFFLINE": "1"},
        )
        try:
            if not _answers(process, port, model):
                raise ModelError(Path(log.name).read_text(errors="replace")[-2000:])
            yield Server(port, model)
        finally:
            service.end(process)


def _answers(process: "subprocess.Popen[bytes]", port: int, model: str) -> bool:
    until = time.monotonic() + SECONDS_TO_START
    body = {"model": model, "prompt": "x", "max_tokens": 1}
    url = f"http://{service.HOST}:{port}/v1/completions"
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.post(url, json=body, timeout=60, trust_env=False).status_code == 200:
                return True
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    return False


async def _measured(
    server: Server, mixes: Mapping[str, Sequence[Ask]], seconds: float, renderer: Renderer
) -> dict[str, Any]:
    found = dict[str, Any]()
    async with connections(server.port) as post:
        ask = functools.partial(stream, post, server.model)
        for mix, asks in mixes.items():
            every = itertools.cycle(asks)
            await load(ask, every, max(CLIENTS), WARM_SECONDS)
            found[mix] = {
                str(clients): _told(*await load(ask, every, clients, seconds), renderer)
                for clients in CLIENTS
            }
    return found


async def load(
    ask: Callable[[Ask], Awaitable[Answer]], every: Iterator[Ask], clients: int, seconds: float
) -> tuple[list[Answer], float]:
    """All answers, and seconds to the last; none is begun after `seconds`."""
    answers = list[Answer]()
    started = time.perf_counter()

    async def client() -> None:
        while time.perf_counter() < started + seconds:
            answers.append(await ask(next(every)))

    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client())
    return answers, time.perf_counter() - started


async def stream(post: Post, model: str, ask: Ask) -> Reply:
    """The answer of /v1/completions, piece by piece.

    Raises:
        ModelError: the server refused the request.
    """
    body = {"model": model, "prompt": ask.prompt, "max_tokens": ask.tokens}
    started, first, said = time.perf_counter(), None, list[bytes]()
    told = {**body, "temperature": 0, "stream": True}
    async with post("/v1/completions", told) as (status, pieces):
        async for piece in pieces:
            said.append(piece)
            if first is None and EVENT in piece:
                first = time.perf_counter()
    ended = time.perf_counter()
    if status != httpx.codes.OK:
        raise ModelError(f"{status}: {b''.join(said)[-300:].decode(errors='replace')}")
    return Reply(b"".join(said), (first or ended) - started, ended - started)


def _told(replies: Sequence[Reply], seconds: float, renderer: Renderer) -> dict[str, float]:
    tokens = sum(len(renderer.encode(reply.text())) for reply in replies)
    firsts = [reply.first for reply in replies]
    wholes = [reply.whole for reply in replies]
    return {
        "requests_per_second": round(len(replies) / seconds, 2),
        "answer_tokens_per_second": round(tokens / seconds, 1),
        "first_piece_ms": round(1000 * float(np.median(firsts)), 1),
        "first_piece_p95_ms": round(1000 * evaluation_report.percentile(firsts, 0.95), 1),
        "p95_ms": round(1000 * evaluation_report.percentile(wholes, 0.95), 1),
    }


def _library(
    python: Path, name: str, root: Path, mixes: Mapping[str, Sequence[Ask]], seconds: float
) -> dict[str, Any]:
    """Figures of a library that another environment holds."""
    script = Path(__file__).with_name("libraries.py")
    asked = json.dumps({"seconds": seconds, "clients": CLIENTS, "mixes": mixes})
    with tempfile.TemporaryDirectory(prefix="stillhouse-library-") as work:
        command = [str(python), str(script), name, str(root / paths.candidate(BASE)), work]
        try:
            done = subprocess.run(
                command, input=asked, capture_output=True, text=True, timeout=LIBRARY_SECONDS
            )
        except subprocess.TimeoutExpired:
            return {"not measured": f"not done after {LIBRARY_SECONDS:.0f} s"}
    if done.returncode:
        return {"not measured": _last_line(done.stderr)}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _last_line(said: str) -> str:
    """What went wrong, without the trace that led there."""
    return said.strip().rpartition("\n")[2]


def _first(errors: BaseExceptionGroup[Exception]) -> BaseException:
    """What went wrong first; clients fail in groups of groups."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _ratios(found: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Requests/s of the Bento, in those of transformers."""
    ours, theirs = found[OURS], found[TRANSFORMERS]
    return {
        mix: {
            clients: round(
                told["requests_per_second"] / theirs[mix][clients]["requests_per_second"], 2
            )
            for clients, told in ours[mix].items()
        }
        for mix in MIXES
        if mix in ours and mix in theirs
    }


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
