"""What HTTP and BentoML add to the engine that they serve.

    make install && .venv/bin/python -m benchmarks.http_overhead 10

The requests of benchmarks/servers.py are streamed by the Bento to 32 clients, and by its engine
alone, in this process and without HTTP, to as many at once: in turns of so many seconds, for each
of the workloads sentiment, translation and summarization. Both get the same requests in the same
turn. The Bento's clients keep their connections, as those of OpenAI's library do, and share its two
cores, so its figure pays for what they read. Writes benchmarks/results/http-overhead.json. Budget
for 10 seconds: twenty minutes on 2 cores.
"""

import asyncio
import functools
import itertools
import json
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.libraries import WARM_SECONDS
from benchmarks.plain_http import connections
from benchmarks.release import RESULTS
from benchmarks.servers import Ask, Server, bento, load, made, stream
from bentos.generator.decoding import Decoding
from bentos.generator.engine import load_engine
from bentos.generator.prompt import Renderer
from tasks import evaluation_report, intervals, paths, records, stage
from tasks.errors import StillhouseError

RESULT = RESULTS / "http-overhead.json"
CLIENTS: Final = 32
TURNS: Final = 12
"""How often both are asked: a machine that slows down slows both."""


def main(arguments: list[str]) -> None:
    """Make the weights, ask both in turns, print and write; takes the seconds of a turn."""
    if len(arguments) != 1 or not arguments[0].isdigit():
        raise StillhouseError("usage: python -m benchmarks.http_overhead SECONDS")
    with tempfile.TemporaryDirectory(prefix="stillhouse-overhead-") as scratch:
        root, mixes = made(Path(scratch) / "house")
        result = {
            "hardware": evaluation_report.hardware(),
            "clients": CLIENTS,
            "turns": TURNS,
            "seconds_each": int(arguments[0]),
            "mixes": _in_turns(root, mixes, float(arguments[0])),
        }
    records.write_report(RESULT, result)
    print(json.dumps(result, indent=2))


def _in_turns(
    root: Path, mixes: Mapping[str, Sequence[Ask]], seconds: float
) -> dict[str, dict[str, Any]]:
    folder = root / paths.candidate("quantize/int8")
    renderer, engine = Renderer.from_folder(folder), load_engine("openvino", folder, schemas=True)

    async def answer(ask: Ask) -> None:
        decoding = Decoding(max_new_tokens=ask.tokens)
        async for _ in engine.stream(renderer.encode(ask.prompt), decoding):
            pass

    try:
        with bento(root) as server:
            return {
                mix: asyncio.run(_turns(server, answer, asks, seconds))
                for mix, asks in mixes.items()
            }
    finally:
        engine.close()


async def _turns(
    server: Server, answer: Callable[[Ask], Awaitable[None]], asks: Sequence[Ask], seconds: float
) -> dict[str, Any]:
    rates = dict[str, list[float]](bento=[], engine=[])
    async with connections(server.port) as post:
        ask_bento = functools.partial(stream, post, server.model)
        await load(ask_bento, itertools.cycle(asks), CLIENTS, WARM_SECONDS)
        await load(answer, itertools.cycle(asks), CLIENTS, WARM_SECONDS)
        for turn in range(TURNS):
            begin = turn * len(asks) // TURNS
            same = (*asks[begin:], *asks[:begin])
            replies, took = await load(ask_bento, itertools.cycle(same), CLIENTS, seconds)
            for reply in replies:
                reply.text()  # raises where the server told of an error: it counts nowhere
            rates["bento"].append(len(replies) / took)
            answers, took = await load(answer, itertools.cycle(same), CLIENTS, seconds)
            rates["engine"].append(len(answers) / took)
    shares = [alone / served for alone, served in zip(rates["engine"], rates["bento"], strict=True)]
    return {
        "requests_per_second": {
            name: intervals.mean(each)._asdict() for name, each in rates.items()
        },
        "engine_over_bento": intervals.mean(shares)._asdict(),
    }


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
