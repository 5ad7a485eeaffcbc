"""Requests are sent as the traffic has them, and timed as their clients would."""

import asyncio
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos.generator.engine import Completion
from tasks.records import Record
from tasks.scoring import Answers, Traffic, ask
from tests.tiny import TASK, record

SECONDS = 0.02


def asked(traffic: Traffic, count: int) -> tuple[Answers, int]:
    """Answers of a model that takes SECONDS, and the most requests that it had at once."""
    held, most = 0, 0

    async def complete(_: Record) -> Completion:
        nonlocal held, most
        held += 1
        most = max(most, held)
        await asyncio.sleep(SECONDS)
        held -= 1
        return Completion("negative", 3, 1, "stop")

    rows = [record(number) for number in range(count)]
    return asyncio.run(ask(complete, rows, TASK, traffic, "test")), most


def test_steady_traffic_keeps_its_requests_in_flight_and_counts_no_wait() -> None:
    answers, most = asked(Traffic(4), 20)
    assert most == 4
    assert median(answers.latencies) < 2 * SECONDS, "nobody's time holds that of another"


def test_random_arrivals_wait_for_a_place_and_the_wait_counts() -> None:
    traffic = Traffic(1, per_second=10 / SECONDS)
    answers, most = asked(traffic, 20)
    assert most == 1
    ends = [SECONDS * place for place in range(1, 21)]
    assert sum(answers.latencies) > 0.99 * (sum(ends) - sum(traffic.due(20)))


def test_random_arrivals_that_are_rare_wait_for_nobody() -> None:
    answers, _ = asked(Traffic(16, per_second=20), 20)
    assert median(answers.latencies) < 2 * SECONDS
    assert answers.seconds == pytest.approx(Traffic(16, 20).due(20)[-1], rel=0.3)


@given(rate=st.floats(0.01, 1000), count=st.integers(200, 2000))
def test_arrivals_come_at_the_rate_in_order_and_the_same_every_time(
    rate: float, count: int
) -> None:
    due = Traffic(1, rate).due(count)
    assert due == sorted(due) == Traffic(1, rate).due(count)
    assert due[-1] * rate == pytest.approx(count, rel=0.3)
