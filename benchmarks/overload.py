"""A served Bento under twice the load that it bears, a killed worker, clients that hang up.

    make serve                                    # in another terminal
    .venv/bin/python -m benchmarks.overload 10

measures for twenty seconds what the Bento answers with 32 requests in flight, then sends twice as
many a second for so many minutes, whatever comes back. No request is sent twice: a Bento that
caches past prompts would answer from memory. It fails unless every request is answered
with 200 or 429, p95 of the answered ones stays within twice what the Bento takes for as many as it
lets in at once, and the server's memory, after a minute's warm-up, grows by at most 5%. Then a
worker is killed (kill -9), and all that clients see until it is back must be worth a retry; last,
clients hang up, and their places must be free within a second. Writes
benchmarks/results/overload.json.
"""

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import httpx
import psutil

from benchmarks.plain_http import posted
from benchmarks.release import RESULTS, newest_run, restore
from bentos.web.limits import Limits
from flows import pids, settings
from tasks import evaluation_report, params, paths, records, stage
from tasks.errors import StillhouseError
from tasks.package.config import PackageConfig
from tasks.records import Record

Body = dict[str, Any]

CHAT = "/v1/chat/completions"
IN_FLIGHT = 32
CAPACITY_SECONDS = 20.0
FULL_HOUSES = 2.0
"""The longest that p95 may be, in what the Bento takes to answer as many as it lets in at once."""

SECONDS = 120.0
"""Within which an answer must come."""

TIMES = 2.0
WARM_SECONDS = 60.0
MOST_GROWTH = 0.05
MOST_SECONDS_AWAY = 15.0
RETRIABLE = {429, 502, 503, 504}
HANGING = 64
MEGABYTE = 1e6


class Load(NamedTuple):
    """What came back.

    Attributes:
        statuses: how many of each; 0 where a connection failed.
        latencies: seconds of those that were answered.
        memory_mb: of server and workers, every ten seconds.
    """

    statuses: Counter[int]
    latencies: list[float]
    memory_mb: list[float]


def main(arguments: list[str]) -> None:
    """Load, kill, hang up; takes minutes of overload."""
    if len(arguments) != 1:
        raise StillhouseError("usage: python -m benchmarks.overload MINUTES")
    minutes = float(arguments[0])
    server = pids.alive("serve")
    if server is None:
        raise StillhouseError("no Bento is served here: type `make serve` in another terminal")
    run = newest_run()
    restore(run, "prepare")
    rows = records.read(run / paths.VALIDATION, Record)
    limits = params.read("package", PackageConfig, run / paths.PARAMS).limits
    result = asyncio.run(_measured(server, _bodies(rows), minutes, limits)) | {
        "hardware": evaluation_report.hardware()
    }
    records.write_report(RESULTS / "overload.json", result)
    print(json.dumps(result, indent=2))
    if faults := [name for name, holds in result["holds"].items() if not holds]:
        raise StillhouseError(f"does not hold: {', '.join(faults)}")


def _bodies(rows: Sequence[Record]) -> Iterator[Body]:
    """Requests without end, each of which begins as no other does."""
    for number, row in enumerate(itertools.cycle(rows)):
        asked = [m for m in row.messages if m["role"] == "user"]
        first = asked[0] | {"content": f"{number}. {asked[0]['content']}"}
        yield {"messages": [first, *asked[1:]]}


async def _measured(
    server: psutil.Process, bodies: Iterator[Body], minutes: float, limits: Limits
) -> dict[str, Any]:
    address = f"http://{settings.HOST}:{settings.serve_port()}"
    capacity = await _capacity(bodies)
    load = await _overload(bodies, TIMES * capacity, minutes * 60, server)
    away = await _killed(bodies, server)
    async with httpx.AsyncClient(base_url=address, timeout=60, trust_env=False) as client:
        freed = await _hung_up(client, bodies)
    warm = load.memory_mb[int(WARM_SECONDS // 10) :] or load.memory_mb[-1:]
    growth = warm[-1] / warm[0] - 1
    p95 = evaluation_report.percentile(load.latencies, 0.95)
    longest = FULL_HOUSES * limits.concurrent_requests / capacity
    return {
        "capacity_per_second": round(capacity, 1),
        "sent_per_second": round(TIMES * capacity, 1),
        "minutes": minutes,
        "statuses": dict(sorted(load.statuses.items())),
        "p95_ms_of_accepted": round(1000 * p95, 1),
        "p95_ms_at_most": round(1000 * longest, 1),
        "memory_mb": [round(each) for each in load.memory_mb],
        "memory_growth": round(growth, 4),
        "killed": away,
        "places_free_after_seconds": freed,
        "holds": {
            "answered by 200 or 429": set(load.statuses) <= {200, 429},
            "p95 of accepted": p95 <= longest,
            "memory": growth <= MOST_GROWTH,
            "back in time": away["seconds_away"] <= MOST_SECONDS_AWAY,
            "only what is worth a retry": set(away["statuses"]) <= {0, 200, *RETRIABLE},
            "places are freed": freed <= 1.0,
        },
    }


async def _ask(body: Body) -> tuple[int, float]:
    """Status, 0 where the connection failed, and seconds to the whole answer."""
    started = time.perf_counter()
    try:
        async with (
            asyncio.timeout(SECONDS),
            posted(settings.serve_port(), CHAT, body) as (status, lines),
        ):
            await lines.read()
    except (OSError, TimeoutError):
        status = 0
    return status, time.perf_counter() - started


async def _capacity(bodies: Iterator[Body]) -> float:
    """Requests/s with so many in flight."""
    answered = 0
    until = time.perf_counter() + CAPACITY_SECONDS

    async def one_after_the_other() -> None:
        nonlocal answered
        while time.perf_counter() < until:
            status, _ = await _ask(next(bodies))
            answered += status == 200

    await asyncio.gather(*(one_after_the_other() for _ in range(IN_FLIGHT)))
    return answered / CAPACITY_SECONDS


async def _overload(
    bodies: Iterator[Body],
    per_second: float,
    seconds: float,
    server: psutil.Process,
) -> Load:
    load = Load(Counter(), [], [])
    sent: set[asyncio.Task[None]] = set()

    async def one() -> None:
        status, latency = await _ask(next(bodies))
        load.statuses[status] += 1
        if status == 200:
            load.latencies.append(latency)

    started = time.perf_counter()
    for number in range(int(per_second * seconds)):
        due = started + number / per_second
        # Who is late must sleep, too, or nothing that was sent is ever looked after.
        await asyncio.sleep(max(due - time.perf_counter(), 0.0))
        if number / per_second >= 10 * len(load.memory_mb):
            load.memory_mb.append(_memory(server))
        task = asyncio.create_task(one())
        sent.add(task)
        task.add_done_callback(sent.discard)
    await asyncio.gather(*sent)
    load.memory_mb.append(_memory(server))
    return load


def _memory(server: psutil.Process) -> float:
    """Resident memory of the server and all its workers, MB."""
    family = [server, *server.children(recursive=True)]
    return sum(process.memory_info().rss for process in family) / MEGABYTE


async def _killed(bodies: Iterator[Body], server: psutil.Process) -> dict[str, Any]:
    """Kill the largest worker, which holds the model, and ask until it is back."""
    workers = server.children(recursive=True)
    max(workers, key=lambda process: process.memory_info().rss).kill()
    killed, statuses, away = time.perf_counter(), Counter[int](), 0.0
    for body in bodies:
        status, _ = await _ask(body)
        statuses[status] += 1
        away = time.perf_counter() - killed
        if status == 200 or away > 4 * MOST_SECONDS_AWAY:
            break
        await asyncio.sleep(0.1)
    return {"seconds_away": round(away, 1), "statuses": dict(sorted(statuses.items()))}


async def _hung_up(client: httpx.AsyncClient, bodies: Iterator[Body]) -> float:
    """Seconds until no place is taken any more by clients that went away."""
    asked = [asyncio.create_task(_ask(next(bodies))) for _ in range(HANGING)]
    await asyncio.sleep(0.1)
    for task in asked:
        task.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    gone = time.perf_counter()
    while await _inside(client) > 0 and time.perf_counter() - gone < 30:
        await asyncio.sleep(0.02)
    return round(time.perf_counter() - gone, 2)


async def _inside(client: httpx.AsyncClient) -> float:
    metrics = (await client.get("/metrics")).text
    lines = [
        line for line in metrics.splitlines() if line.startswith("stillhouse_requests_inside{")
    ]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
