"""The replay's arithmetic, against a server that answers at once."""

import asyncio
import json

import pytest

from benchmarks import replay
from tasks.errors import StillhouseError
from tests.gate.made_up import evaluation
from tests.tiny import record

ROWS = [record(number) for number in range(4)]
TOLD = {row.id: row.reference for row in ROWS}


def replayed(monkeypatch: pytest.MonkeyPatch, status: str, answer: str) -> list[replay.Replay]:
    body = json.dumps({"answer": answer}).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                asked = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(asked.partition(b"Content-Length: ")[2]))
                writer.write(head.encode() + b"\r\n\r\n" + body)
        except asyncio.IncompleteReadError:
            writer.close()

    async def run() -> list[replay.Replay]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setenv("STILLHOUSE_SERVE_PORT", str(port))
        async with server:
            return await replay._replay(ROWS, TOLD, concurrency=3)

    monkeypatch.setattr(replay, "REPEATS", 3)
    monkeypatch.setattr(replay, "SECONDS", 0.05)
    return asyncio.run(run())


def test_the_replays_price_is_set_beside_the_ledgers(monkeypatch: pytest.MonkeyPatch) -> None:
    replays = replayed(monkeypatch, "200 OK", "positive")
    assert len(replays) == 3
    told = replay._result(evaluation("small", 0.001), replays)
    requests = sum(len(one.latencies) for one in replays)
    assert told["requests"] == requests > 3
    assert 0 < told["differing_answers"] < requests, "every other reference is negative"
    prices = told["per_1000_requests"]
    assert prices["replay"]["value"] < prices["replay_with_its_client"]["value"]
    assert told["replay_to_ledger"]["value"] == pytest.approx(prices["replay"]["value"] / 0.001)


def test_a_server_that_fails_a_request_ends_the_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StillhouseError, match="the server said"):
        replayed(monkeypatch, "500 Internal Server Error", "positive")
