"""Does a served request cost what the ledger says? Replay the load against the served Bento.

    make serve                                    # in another terminal
    .venv/bin/python -m benchmarks.replay

sends validation requests as they come, as many at once as the evaluation had in flight, for half a
minute and more, prices them from the machine's price, and sets that beside the report of the
newest run. Writes benchmarks/results/<workload>-<budget>-replay.json.

The client shares the machine with the server, which a user's client does not: its processor time
is measured and both figures are told, with it and without. It speaks HTTP over plain sockets, since
any client library would take several times as long for a request.
"""

import asyncio
import itertools
import json
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from benchmarks.clients import predictions
from benchmarks.release import RESULTS, newest_run
from flows import settings
from tasks import candidates_table, evaluation_report, intervals, ledger, paths, records, stage
from tasks.candidates_table import Evaluation
from tasks.errors import StillhouseError
from tasks.records import Record

REPEATS = 6
SECONDS = 6.0
"""Of each repeat."""


class Replay(NamedTuple):
    """One repeat.

    Attributes:
        latencies: seconds from request to whole answer, one a request.
        seconds: that it took.
        client_seconds: processor time of this process meanwhile.
        wrong: answers that are not those of the evaluation.
    """

    latencies: list[float]
    seconds: float
    client_seconds: float
    wrong: int


def main(arguments: list[str]) -> None:
    """Replay, print and write; takes no arguments."""
    if arguments:
        raise StillhouseError("usage: python -m benchmarks.replay (it takes no arguments)")
    root = newest_run()
    gate = candidates_table.load(root).gate
    if gate is None or gate.chosen is None:
        raise StillhouseError(f"{root}: the newest run has packaged nothing")
    chosen = next(e for e in candidates_table.evaluations(root) if e.name == gate.chosen)
    told = predictions(root, gate.chosen)
    rows = [row for row in records.read(root / paths.VALIDATION, Record) if row.id in told]
    replays = asyncio.run(_replay(rows, told, chosen.performance.concurrency or 1))
    result = _result(chosen, replays)
    records.write_report(RESULTS / f"{gate.workload}-{gate.budget}-replay.json", result)
    print(json.dumps(result, indent=2))


async def _replay(rows: Sequence[Record], told: dict[str, str], concurrency: int) -> list[Replay]:
    """One repeat to warm up, which is not counted, then all others."""
    endless = itertools.cycle([(_request(row), told[row.id]) for row in rows])
    streams = [
        await asyncio.open_connection(settings.HOST, settings.serve_port())
        for _ in range(concurrency)
    ]
    replays = [await _repeat(endless, streams) for _ in range(REPEATS + 1)]
    for _, writer in streams:
        writer.close()
    return replays[1:]


async def _repeat(
    requests: Iterator[tuple[bytes, str]],
    streams: Sequence[tuple[asyncio.StreamReader, asyncio.StreamWriter]],
) -> Replay:
    latencies: list[float] = []
    wrong = 0
    started, used = time.perf_counter(), time.process_time()

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal wrong
        while time.perf_counter() - started < SECONDS:
            request, expected = next(requests)
            sent = time.perf_counter()
            writer.write(request)
            answer = await _answer(reader)
            latencies.append(time.perf_counter() - sent)
            wrong += answer != expected

    await asyncio.gather(*(client(*stream) for stream in streams))
    seconds = time.perf_counter() - started
    return Replay(latencies, seconds, time.process_time() - used, wrong)


def _request(row: Record) -> bytes:
    body = json.dumps(row.fields).encode()
    head = (
        f"POST /predict HTTP/1.1\r\nHost: {settings.HOST}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _answer(reader: asyncio.StreamReader) -> str:
    """The answer of /predict.

    Raises:
        StillhouseError: the server answered anything but 200.
    """
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = int(head.partition("content-length:")[2].partition("\r\n")[0])
    body = await reader.readexactly(length)
    if " 200 " not in head.partition("\r\n")[0]:
        raise StillhouseError(f"the server said: {body.decode(errors='replace')}")
    return str(json.loads(body)["answer"])


def _result(chosen: Evaluation, replays: Sequence[Replay]) -> dict[str, Any]:
    per_hour, told = chosen.cost.price_per_hour or 0.0, chosen.cost.per_1000_requests.value
    shares = [one.client_seconds / one.seconds / (os.cpu_count() or 1) for one in replays]
    rates = [len(one.latencies) / one.seconds for one in replays]
    # The server's rate had the client's processor time been its own.
    alone = [rate / (1 - share) for rate, share in zip(rates, shares, strict=True)]
    latencies = [latency for one in replays for latency in one.latencies]
    return {
        "candidate": chosen.name,
        "concurrency": chosen.performance.concurrency,
        "requests": len(latencies),
        "seconds": round(sum(one.seconds for one in replays), 1),
        "differing_answers": sum(one.wrong for one in replays),
        "client_share_of_machine": round(sum(shares) / len(shares), 4),
        "latency_ms": {
            "p50": round(1000 * evaluation_report.percentile(latencies, 0.50), 1),
            "p95": round(1000 * evaluation_report.percentile(latencies, 0.95), 1),
        },
        "per_1000_requests": {
            "currency": chosen.cost.currency,
            "ledger": told,
            "replay": intervals.mean(ledger.per_1000(alone, per_hour))._asdict(),
            "replay_with_its_client": intervals.mean(ledger.per_1000(rates, per_hour))._asdict(),
        },
        "replay_to_ledger": ledger.ratio(
            ledger.per_1000(alone, per_hour), chosen.cost.repeats or (told,)
        )._asdict(),
        "hardware": evaluation_report.hardware(),
    }


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
