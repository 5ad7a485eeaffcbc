"""Many clients of the official OpenAI library at a served Bento, half of them streaming.

    make serve                                    # in another terminal
    .venv/bin/python -m benchmarks.clients

asks every validation request of the newest run, 64 at once, and compares the answers with those
that were evaluated. Writes benchmarks/results/<workload>-<budget>-clients.json.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from openai import AsyncOpenAI, OpenAIError

from benchmarks.release import RESULTS, newest_run, restore
from flows import settings
from tasks import candidates_table, evaluation_report, paths, records, stage
from tasks.errors import StillhouseError
from tasks.records import Prediction, Record

CLIENTS = 64


class Reply(NamedTuple):
    """What one client got: nothing where the server failed it."""

    answer: str | None
    seconds: float


def main(arguments: list[str]) -> None:
    """Ask, print and write; takes no arguments."""
    if arguments:
        raise StillhouseError("usage: python -m benchmarks.clients (it takes no arguments)")
    root = newest_run()
    gate = candidates_table.load(root).gate
    if gate is None or gate.chosen is None:
        raise StillhouseError(f"{root}: the newest run has packaged nothing")
    told = predictions(root, gate.chosen)
    rows = [row for row in records.read(root / paths.VALIDATION, Record) if row.id in told]
    started = time.perf_counter()
    replies = asyncio.run(_ask(rows))
    seconds = time.perf_counter() - started
    result = _result(rows, replies, told, seconds)
    records.write_report(RESULTS / f"{gate.workload}-{gate.budget}-clients.json", result)
    print(json.dumps(result, indent=2))


def predictions(root: Path, name: str) -> dict[str, str]:
    """What the candidate answered in evaluation."""
    restore(root, "prepare", f"evaluate@{name}")
    file = root / paths.evaluation(name) / paths.PREDICTIONS
    return {made.id: made.answer for made in records.read(file, Prediction)}


async def _ask(rows: Sequence[Record]) -> list[Reply]:
    address = f"http://{settings.HOST}:{settings.serve_port()}/v1"
    client = AsyncOpenAI(base_url=address, api_key="none", max_retries=0, timeout=120)
    model = (await client.models.list()).data[0].id
    free = asyncio.Semaphore(CLIENTS)

    async def ask(number: int, row: Record) -> Reply:
        async with free:
            sent = time.perf_counter()
            try:
                answer = await _answer(client, model, row, streaming=number % 2 == 1)
            except OpenAIError as error:
                print(f"request {number}: {error}", flush=True)
                answer = None
            return Reply(answer, time.perf_counter() - sent)

    return list(await asyncio.gather(*(ask(number, row) for number, row in enumerate(rows))))


async def _answer(client: AsyncOpenAI, model: str, row: Record, streaming: bool) -> str:
    messages: list[Any] = [m for m in row.messages if m["role"] == "user"]
    if not streaming:
        whole = await client.chat.completions.create(model=model, messages=messages)
        return whole.choices[0].message.content or ""
    stream = await client.chat.completions.create(model=model, messages=messages, stream=True)
    return "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])


def _result(
    rows: Sequence[Record], replies: Sequence[Reply], told: dict[str, str], seconds: float
) -> dict[str, Any]:
    latencies = [reply.seconds for reply in replies]
    pairs = zip(rows, replies, strict=True)
    return {
        "clients": CLIENTS,
        "requests": len(replies),
        "errors": sum(reply.answer is None for reply in replies),
        "same_as_evaluated": sum(reply.answer == told[row.id] for row, reply in pairs),
        "requests_per_second": round(len(replies) / seconds, 1),
        "latency_ms": {
            "p50": round(1000 * evaluation_report.percentile(latencies, 0.50), 1),
            "p95": round(1000 * evaluation_report.percentile(latencies, 0.95), 1),
        },
        "hardware": evaluation_report.hardware(),
    }


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
