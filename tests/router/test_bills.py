"""What is set aside and paid, by requests through the router to a model priced by the token."""

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from bentos.router.deployment import guess
from tests.router.house import CHAT, House, user

BY_TOKEN = {"price_per_million_input_tokens": 1e3, "price_per_million_output_tokens": 1e3}
A_TOKEN = 0.001
PREMIUM = {"X-Stillhouse-Tier": "premium"}


@pytest.fixture
def home(house: Callable[..., House]) -> House:
    return house(teacher_price=BY_TOKEN, day_limit=100.0)


@pytest.mark.parametrize("more", [{}, {"stream": True}], ids=str)
def test_what_was_used_is_paid_whatever_was_set_aside(home: House, more: dict[str, object]) -> None:
    answers = home.send(user("so hard", **more), headers=PREMIUM)
    assert [answer.status_code for answer in answers] == [200]
    # two words read, three written
    assert home.spending.spent("anonymous") == pytest.approx(5 * A_TOKEN)
    cost = {"upstream": "teacher", "currency": "USD"}
    assert home.value("stillhouse_upstream_cost_total", **cost) == pytest.approx(5 * A_TOKEN)


@pytest.mark.parametrize("more", [{}, {"stream": True}], ids=str)
@pytest.mark.parametrize("status", [400, 500])
def test_what_is_refused_or_does_not_come_costs_nothing(
    home: House, more: dict[str, object], status: int
) -> None:
    home.teacher.failing = [status]
    [answer] = home.send(user("hard", **more), headers=PREMIUM)
    assert answer.status_code == {400: 400, 500: 503}[status]
    assert home.spending.spent("anonymous") == 0


def test_what_broke_off_is_paid_as_it_was_set_aside(home: House) -> None:
    home.teacher.breaks_after = 1
    body = user("hard", stream=True)
    [answer] = home.send(body, headers=PREMIUM)
    assert "the model broke off" in answer.text
    assert "[DONE]" not in answer.text
    set_aside = guess(home.deployment.upstreams["teacher"], body)
    assert home.spending.spent("anonymous") == pytest.approx(set_aside)
    assert home.value("stillhouse_upstream_failures_total", upstream="teacher") == 1


def test_more_answers_and_longer_ones_set_more_aside(home: House) -> None:
    teacher = home.deployment.upstreams["teacher"]
    few, many = (guess(teacher, user("x", max_tokens=100, n=n)) for n in (1, 3))
    assert many - few == pytest.approx(200 * A_TOKEN, rel=0.05)


@pytest.mark.parametrize(
    "more",
    [{name: value} for name in ("max_tokens", "n") for value in (0, -(10**12), 10**400, 1.5, "9")],
    ids=lambda more: str(more)[:24],
)
def test_a_number_that_cannot_be_is_refused_before_anything_is_set_aside(
    home: House, more: dict[str, object]
) -> None:
    answers = home.send(user("hard", stream=True, **more), user("hard", **more), headers=PREMIUM)
    assert [answer.status_code for answer in answers] == [400, 400]
    assert home.teacher.asked == []
    assert home.spending.spent("anonymous") == 0


@pytest.mark.parametrize("stream", [False, True])
def test_nobody_works_on_for_a_client_who_has_left(home: House, stream: bool) -> None:
    asked, over = threading.Event(), threading.Event()

    def slowly(*_: object) -> str:
        asked.set()
        over.wait(10)
        return "late"

    home.teacher.sampled = slowly
    body = user("hard", seed=1, stream=stream)
    messages = iter([{"type": "http.request", "body": json.dumps(body).encode()}])
    statuses = list[int]()

    async def receive() -> Any:
        if (message := next(messages, None)) is not None:
            return message
        await asyncio.to_thread(asked.wait, 10)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        statuses.append(message.get("status", 0))

    async def leave() -> None:
        await home.client()
        headers = [(b"content-type", b"application/json"), (b"x-stillhouse-tier", b"premium")]
        scope = {"type": "http", "method": "POST", "path": CHAT, "query_string": b""}
        whole: Any = {**scope, "headers": headers, "server": ("127.0.0.1", 80)}
        await home.app(whole, receive, send)
        await asyncio.sleep(0.1)

    try:
        asyncio.run(asyncio.wait_for(leave(), 5))
    finally:
        over.set()
    assert statuses[0] == 499
    # The model has worked for it: what was set aside stands.
    set_aside = guess(home.deployment.upstreams["teacher"], body)
    assert home.spending.spent("anonymous") == pytest.approx(set_aside)
