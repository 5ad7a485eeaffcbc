"""Canary and drift, by requests through the router."""

import asyncio
import math
from collections.abc import Callable

import pytest

from tests.router.house import CHAT, House, down, text_of, user


def test_a_canary_takes_its_share_and_is_stopped_when_it_does_worse(
    house: Callable[..., House],
) -> None:
    home = house(canary={"upstream": "next", "of": "small", "share": 0.5})
    home.next.logprob = lambda text: math.log(0.2)
    home.draws = [0.0, 0.9] * 500  # every second request is the canary's

    answers = home.ask(*["easy"] * 60)

    upstreams = [answer.headers["x-stillhouse-asked"] for answer in answers]
    assert upstreams[0] == "next,teacher"
    [(kind, facts)] = [told for told in home.events if told[0] == "canary-stopped"]
    assert (kind, facts["bad"], facts["bad_of_the_other"]) == ("canary-stopped", 1.0, 0.0)
    assert len(home.next.asked) == facts["requests"] < 30
    assert set(upstreams[-10:]) == {"small"}


def test_a_canary_that_does_as_well_goes_on(house: Callable[..., House]) -> None:
    home = house(canary={"upstream": "next", "of": "small", "share": 0.5})
    home.draws = [0.0, 0.9] * 500

    home.ask(*["easy"] * 60)

    assert len(home.next.asked) == 30
    assert not [told for told in home.events if told[0] == "canary-stopped"]


def test_a_canary_that_fails_costs_no_client_its_answer(house: Callable[..., House]) -> None:
    home = house(canary={"upstream": "next", "of": "small", "share": 0.5})
    home.draws = [0.0]
    with down(home.next):
        [answer] = home.ask("easy")
    assert text_of(answer) == "small: easy"


def test_drift_of_the_share_that_goes_on_is_told_once(house: Callable[..., House]) -> None:
    home = house(events_url="http://127.0.0.1:1/api")
    home.ask(*["hard"] * 40)
    [(kind, facts)] = home.events
    assert (kind, facts["expected"], facts["seen"]) == ("escalation-drift", 0.2, 1.0)


@pytest.mark.parametrize("of", ["small", "teacher"])
def test_a_canary_that_never_answers_is_stopped_whoever_it_stands_in_for(
    house: Callable[..., House], of: str
) -> None:
    home = house(canary={"upstream": "next", "of": of, "share": 0.5}, days=-1)
    home.draws = [0.0, 0.9] * 500
    tier = {"X-Stillhouse-Tier": {"small": "free", "teacher": "premium"}[of]}
    with down(home.next):
        answers = home.ask(*["x"] * 60, headers=tier)

    assert {answer.headers["x-stillhouse-upstream"] for answer in answers} == {of}
    [(kind, facts)] = home.events
    assert (kind, facts["bad"], facts["bad_of_the_other"]) == ("canary-stopped", 1.0, 0.0)


def test_a_canary_that_refuses_what_the_other_answers_is_stopped(
    house: Callable[..., House],
) -> None:
    home = house(canary={"upstream": "next", "of": "small", "share": 0.5})
    home.draws = [0.0, 0.9] * 500
    home.next.failing = [400] * 100

    answers = home.ask(*["easy"] * 60)

    assert {text_of(answer) for answer in answers} == {"small: easy"}
    assert [kind for kind, _ in home.events] == ["canary-stopped"]


def test_a_canary_is_not_blamed_for_requests_that_both_refuse(house: Callable[..., House]) -> None:
    home = house(canary={"upstream": "next", "of": "small", "share": 0.5})
    home.draws = [0.0, 0.9] * 500
    home.next.failing, home.small.failing = [400] * 30, [400] * 60

    home.ask(*["easy"] * 60)

    assert home.events == []


def test_a_canary_that_fails_as_seldom_as_the_other_goes_on(house: Callable[..., House]) -> None:
    home = house(canary={"upstream": "next", "of": "small", "share": 0.5})
    home.draws = [0.0, 0.9] * 500

    async def ask() -> None:
        client = await home.client()
        for number in range(200):
            if number % 20 < 2:  # one of ten requests to each
                (home.next, home.small)[number % 2].failing = [500]
            await client.post(CHAT, json=user("x"), headers={"X-Stillhouse-Tier": "free"})

    asyncio.run(ask())

    assert home.events == []
    assert len(home.next.asked) == 90


def test_a_stopped_canary_stays_so_when_the_router_starts_again(
    house: Callable[..., House],
) -> None:
    home = house(canary={"upstream": "next", "of": "small", "share": 0.5})
    home.draws = [0.0, 0.9] * 500
    with down(home.next):
        home.ask(*["easy"] * 60)
    assert [kind for kind, _ in home.events] == ["canary-stopped"]

    home.ask(*["easy"] * 10)  # a router of its own, with the same file

    assert home.next.asked == []


def test_a_model_that_does_not_answer_is_no_drift(house: Callable[..., House]) -> None:
    home = house()
    with down(home.small):
        home.ask(*["easy"] * 60)
    assert home.events == []
