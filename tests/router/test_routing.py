"""Requests through the router's own HTTP interface, to real servers on loopback."""

import asyncio
import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from random import Random

import httpx
import openai
import pytest

from benchmarks import hostile
from bentos.router.deployment import Deployment
from bentos.web import access, json_file
from tests.router.house import CHAT, House, down, text_of, user
from tests.router.test_predictor import knowing


def test_the_cheap_models_answer_stays_where_it_is_sure(house: Callable[..., House]) -> None:
    home = house()
    easy, hard = home.ask("easy", "hard")

    assert (text_of(easy), easy.headers["x-stillhouse-upstream"]) == ("small: easy", "small")
    assert (text_of(hard), hard.headers["x-stillhouse-asked"]) == ("teacher: hard", "small,teacher")
    assert easy.json()["model"] == "tiny"
    assert easy.json()["choices"][0]["logprobs"] is None
    assert home.small.asked[0]["model"] == "small-model"
    assert "logprobs" not in home.teacher.asked[0]
    assert home.value("stillhouse_router_saved_total", currency="USD") == pytest.approx(0.009)
    cost = {"upstream": "small", "currency": "USD"}
    assert home.value("stillhouse_upstream_cost_total", **cost) == pytest.approx(0.002)


def test_the_whole_conversation_goes_on_and_unknown_options_too(
    house: Callable[..., House],
) -> None:
    home = house()
    turns = [{"role": "system", "content": "S"}, {"role": "user", "content": "easy"}]

    async def ask() -> httpx.Response:
        client = await home.client()
        return await client.post(CHAT, json={"messages": turns, "temperature": 0.5, "top_k": 3})

    assert asyncio.run(ask()).is_success
    assert home.small.asked[0]["messages"] == turns
    assert (home.small.asked[0]["temperature"], home.small.asked[0]["top_k"]) == (0.5, 3)


def test_what_is_foreseen_to_go_on_goes_there_at_once(house: Callable[..., House]) -> None:
    home = house(predictor=knowing("hard", -50.0))

    easy, hard = home.ask("easy", "hard")

    assert text_of(easy) == "small: easy"
    assert (text_of(hard), hard.headers["x-stillhouse-asked"]) == ("teacher: hard", "teacher")
    assert len(home.small.asked) == 1
    with down(home.teacher):
        [spared] = home.ask("hard")
    assert (text_of(spared), spared.headers["x-stillhouse-degraded"]) == ("small: hard", "true")


@pytest.mark.parametrize("reason", ["expired", "of other models", "none"])
def test_without_a_calibration_that_holds_the_dearest_model_answers(
    house: Callable[..., House], reason: str
) -> None:
    home = house(days=-1 if reason == "expired" else 1)
    if reason == "of other models" and home.calibration is not None:
        home.calibration = home.calibration.model_copy(update={"models": ("next", "teacher")})
    if reason == "none":
        home.calibration = None

    [answer] = home.ask("easy")

    assert text_of(answer) == "teacher: easy"
    assert home.small.asked == []


def test_a_key_opens_its_tiers_and_no_others(house: Callable[..., House], tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    key = access.add(keys, "team-a", ["free", "premium"])
    home = house(keys)
    bearer = {"Authorization": f"Bearer {key}"}

    def ask(tier: str | None) -> httpx.Response:
        [answer] = home.ask("hard", headers=bearer | ({"X-Stillhouse-Tier": tier} if tier else {}))
        return answer

    assert text_of(ask(None)) == "small: hard"
    assert text_of(ask("premium")) == "teacher: hard"
    assert ask("standard").status_code == 403
    assert home.ask("hard")[0].status_code == 401


def test_who_has_spent_the_day_is_told_and_a_dear_model_is_left_out_before(
    house: Callable[..., House],
) -> None:
    home = house(day_limit=0.0125)
    answers = home.ask("hard", "hard", "hard")

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [text_of(answer) for answer in answers[:2]] == ["teacher: hard", "small: hard"]
    assert answers[1].headers["x-stillhouse-degraded"] == "true"
    assert answers[2].json()["error"]["code"] == "insufficient_quota"
    assert home.spending.spent("anonymous") == pytest.approx(0.012)


def test_another_model_answers_for_one_that_fails(house: Callable[..., House]) -> None:
    home = house()
    with down(home.small):
        [up] = home.ask("easy")
    assert text_of(up) == "teacher: easy"
    with down(home.teacher):
        [less] = home.ask("hard")
    assert (text_of(less), less.headers["x-stillhouse-degraded"]) == ("small: hard", "true")
    with down(home.small), down(home.teacher):
        [none] = home.ask("easy")
    assert (none.status_code, none.headers["retry-after"]) == (503, "5")
    failures = home.value("stillhouse_upstream_failures_total", upstream="small")
    assert failures == 2


def test_a_model_that_keeps_failing_is_left_alone_for_a_while(
    house: Callable[..., House],
) -> None:
    home = house()
    with down(home.small):
        home.ask(*["easy"] * 6)
        assert len(home.small.failing) == 100 - 3


def test_a_request_that_every_model_refuses_is_the_clients_mistake(
    house: Callable[..., House],
) -> None:
    home = house()
    home.small.failing, home.teacher.failing = [400], [422]
    [answer] = home.ask("easy")
    assert answer.status_code == 400
    assert answer.json() == {"error": {"message": "not now"}}
    assert home.value("stillhouse_upstream_failures_total", upstream="teacher") == 0


def test_what_a_cheap_model_refuses_a_dearer_one_may_answer(house: Callable[..., House]) -> None:
    home = house()
    home.small.failing = [400]
    [answer] = home.ask("easy")
    assert (text_of(answer), answer.headers["x-stillhouse-asked"]) == ("teacher: easy", "teacher")


def test_an_unsure_answer_stays_where_the_dear_model_refuses(house: Callable[..., House]) -> None:
    home = house()
    home.teacher.failing = [400] * 2
    whole, stream = home.send(user("hard"), user("hard", stream=True))
    assert text_of(whole) == "small: hard"
    assert "small: hard" in stream.text
    for answer in (whole, stream):
        assert answer.headers["x-stillhouse-degraded"] == "true"


def test_what_the_dearest_refuses_at_once_is_asked_of_nobody_else(
    house: Callable[..., House],
) -> None:
    home = house(days=-1)
    home.teacher.failing = [400] * 2
    answers = home.send(user("easy"), user("easy", stream=True))
    assert [answer.status_code for answer in answers] == [400, 400]
    assert home.small.asked == []


@pytest.mark.parametrize("status", [302, 402])
def test_what_is_no_mistake_of_the_clients_is_not_passed_on(
    house: Callable[..., House], status: int
) -> None:
    home = house()
    home.small.failing = [status]
    [answer] = home.ask("easy")
    assert text_of(answer) == "teacher: easy"


def test_a_request_without_a_system_message_gets_that_of_the_workload(
    house: Callable[..., House],
) -> None:
    home = house(system="Is it good?")
    own = {"role": "system", "content": "S"}
    home.send(user("easy"), {"messages": [own, {"role": "user", "content": "easy"}]})

    first, second = (each["messages"] for each in home.small.asked)
    assert first[0] == {"role": "system", "content": "Is it good?"}
    assert second[0] == own
    assert (len(first), len(second)) == (2, 2)


def test_nothing_hostile_is_answered_by_a_failure(house: Callable[..., House]) -> None:
    home = house()
    home.small.logprob = lambda _: 0.0
    attacks = list(islice(hostile.attacks(Random(0)), 500))

    async def ask() -> list[httpx.Response]:
        client = await home.client()
        return [await client.post(CHAT, content=a.body, headers=a.headers) for a in attacks]

    answers = asyncio.run(ask())
    statuses = {answer.status_code for answer in answers}
    assert statuses <= {200, 400, 404, 413}
    assert {200, 400} <= statuses
    assert not [a for a in answers if a.status_code != 200 and "error" not in a.json()]


def test_a_shadow_is_asked_and_compared_and_answers_nobody(house: Callable[..., House]) -> None:
    home = house(shadow={"upstream": "next", "of": "small", "share": 1.0})
    home.draws = [0.0] * 100
    answers = home.ask("easy", "easy", "hard")

    assert [text_of(each) for each in answers] == ["small: easy"] * 2 + ["teacher: hard"]
    assert len(home.next.asked) == 2
    other = {"upstream": "next", "outcome": "other"}
    assert home.value("stillhouse_shadow_total", **other) == 2


def test_without_a_calibration_a_cheaper_model_stands_in_and_is_told(
    house: Callable[..., House],
) -> None:
    home = house(days=-1)
    with down(home.teacher):
        [answer] = home.ask("hard")
    assert (text_of(answer), answer.headers["x-stillhouse-degraded"]) == ("small: hard", "true")
    assert home.events == []


def test_the_official_client_is_served(house: Callable[..., House]) -> None:
    home = house()

    async def ask() -> str | None:
        client = await home.client()
        official = openai.AsyncOpenAI(
            base_url="http://127.0.0.1/v1", api_key="none", http_client=client
        )
        answer = await official.chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": "easy"}]
        )
        return answer.choices[0].message.content

    assert asyncio.run(ask()) == "small: easy"


@pytest.mark.parametrize(
    "body",
    [{}, {"messages": []}, {"messages": "x"}, {"messages": [{"content": "no role"}]}, []],
    ids=str,
)
def test_what_is_no_conversation_is_refused(house: Callable[..., House], body: object) -> None:
    home = house()

    async def ask() -> httpx.Response:
        return await (await home.client()).post(CHAT, json=body)

    answer = asyncio.run(ask())
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"default_tier": "gold"}, "default_tier"),
        ({"tiers": {"free": ["nobody"]}}, "no such upstream: nobody"),
        ({"surprise": 1}, "surprise"),
        ({"upstreams": {"a": {"base_url": "file:///etc", "model": "x"}}}, "base_url"),
        ({"upstreams": {"a": {"base_url": "http://u:p@h/v1", "model": "x"}}}, "base_url"),
        ({"upstreams": {"a": {"base_url": "http://h/v1", "model": "x"}}}, "give price"),
    ],
    ids=str,
)
def test_a_deployment_that_cannot_be_is_refused_by_name(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    upstream = {"base_url": "http://h/v1", "model": "x", "price_per_1000_requests": 1}
    content = {"upstreams": {"a": upstream}, "tiers": {"free": ["a"]}, "default_tier": "free"}
    file = tmp_path / "router.json"
    file.write_text(json.dumps(content | changes))
    with pytest.raises(ValueError, match=said):
        json_file.read(file, Deployment)
