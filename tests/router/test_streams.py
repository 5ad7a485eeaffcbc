"""Streams through the router: the same models, prices and failures as whole answers."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import openai
import pytest

from bentos.router import api as router_api
from tests.router.house import House, down, user

PREMIUM = {"X-Stillhouse-Tier": "premium"}


def events(response: httpx.Response) -> list[dict[str, Any]]:
    """All but the last, which says that it is over."""
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


@pytest.mark.parametrize(("text", "said"), [("easy", "small: easy"), ("hard", "teacher: hard")])
def test_a_stream_is_a_cheap_answer_in_pieces_or_the_dear_one_as_it_comes(
    house: Callable[..., House], text: str, said: str
) -> None:
    home = house()

    [response] = home.send(user(text, stream=True))

    deltas = [each["choices"][0]["delta"] for each in events(response)]
    assert "".join(delta.get("content", "") for delta in deltas) == said
    assert response.headers["x-stillhouse-upstream"] == said.partition(":")[0]
    assert {each["model"] for each in events(response)} == {"tiny"}


def test_a_stream_falls_back_on_the_cheap_answer(house: Callable[..., House]) -> None:
    home = house()
    with down(home.teacher):
        [response] = home.send(user("hard", stream=True))
    assert "small: hard" in response.text
    assert response.headers["x-stillhouse-degraded"] == "true"


def test_a_stream_that_does_not_begin_costs_nothing(house: Callable[..., House]) -> None:
    home = house()
    with down(home.teacher):
        [response] = home.send(user("hard", stream=True), headers=PREMIUM)
    assert response.status_code == 503
    assert home.spending.spent("anonymous") == 0
    assert home.value("stillhouse_upstream_failures_total", upstream="teacher") == 1


def test_a_stream_that_breaks_off_before_its_first_piece_is_unavailable(
    house: Callable[..., House],
) -> None:
    home = house()
    home.teacher.breaks_after = 0
    [response] = home.send(user("hard", stream=True), headers=PREMIUM)
    assert response.status_code == 503
    assert home.spending.spent("anonymous") == 0


def test_without_a_calibration_a_cheaper_model_stands_in_for_a_stream_too(
    house: Callable[..., House],
) -> None:
    home = house(days=-1)
    with down(home.teacher):
        [response] = home.send(user("hard", stream=True))
    assert "small: hard" in response.text
    assert response.headers["x-stillhouse-degraded"] == "true"


@pytest.mark.parametrize("text", ["easy", "hard"])
@pytest.mark.parametrize("asked", [False, True])
def test_usage_is_told_to_those_who_ask_for_it(
    house: Callable[..., House], text: str, asked: bool
) -> None:
    by_token = {"price_per_million_input_tokens": 1, "price_per_million_output_tokens": 1}
    home = house(teacher_price=by_token)
    more = {"stream_options": {"include_usage": True}} if asked else {}
    [response] = home.send(user(text, stream=True, **more))

    told = [each["usage"] for each in events(response) if each.get("usage")]
    assert [each["completion_tokens"] for each in told] == ([2] if asked else [])
    assert all(each["choices"] for each in events(response) if not each.get("usage"))


def test_calls_of_tools_and_log_probabilities_are_in_the_stream_of_a_whole_answer() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    told = {"content": [{"token": "x", "logprob": -0.5, "top_logprobs": []}], "refusal": None}

    async def cut() -> list[bytes]:
        body = {"id": "1", "created": 0, "choices": [{**choice, "logprobs": told}]}
        return [each async for each in router_api._cut(AsyncExitStack(), body, "tiny", usage=False)]

    first, last, _ = asyncio.run(cut())
    [given] = json.loads(first.removeprefix(b"data: "))["choices"]
    assert given["delta"]["tool_calls"] == [{"index": 0, **call}]
    assert given["logprobs"] == told
    assert json.loads(last.removeprefix(b"data: "))["choices"][0]["finish_reason"] == "tool_calls"


def test_the_official_client_reads_both_kinds_of_stream(house: Callable[..., House]) -> None:
    home = house()

    async def read(text: str) -> str:
        official = openai.AsyncOpenAI(
            base_url="http://127.0.0.1/v1", api_key="none", http_client=await home.client()
        )
        pieces = await official.chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": text}], stream=True
        )
        return "".join([piece.choices[0].delta.content or "" async for piece in pieces])

    assert asyncio.run(read("easy")) == "small: easy"
    assert asyncio.run(read("hard")) == "teacher: hard"


def test_a_stream_is_shadowed_and_its_canary_watched(house: Callable[..., House]) -> None:
    home = house(
        canary={"upstream": "next", "of": "teacher", "share": 0.5},
        shadow={"upstream": "small", "of": "teacher", "share": 1.0},
    )
    home.draws = [0.0, 0.9, 0.0]  # the canary; the teacher, who is shadowed
    first, second = home.send(*[user("x", stream=True)] * 2, headers=PREMIUM)

    assert first.headers["x-stillhouse-upstream"] == "next"
    assert second.headers["x-stillhouse-upstream"] == "teacher"
    other = {"upstream": "small", "outcome": "other"}
    assert home.value("stillhouse_shadow_total", **other) == 1


def test_a_model_whose_streams_break_off_is_left_alone_for_a_while(
    house: Callable[..., House],
) -> None:
    home = house()
    home.teacher.breaks_after = 1
    home.send(*[user("hard", stream=True)] * 6, headers=PREMIUM)
    assert len(home.teacher.asked) == 3
