"""Requests through the router's own HTTP interface, to real servers on loopback."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from prometheus_client import CollectorRegistry

from bentos.router import api as router_api
from bentos.router.api import create_app
from bentos.router.calibration import Calibration
from bentos.router.deployment import Deployment
from bentos.router.events import Events
from bentos.router.meter import RouterMeter
from bentos.router.routing import Router
from bentos.router.spending import Spending, today
from bentos.router.upstream import UnavailableError, Upstream
from bentos.router.watch import Watch
from bentos.web import access, json_file
from bentos.web.access import Access
from bentos.web.limits import Limits
from bentos.web.meter import Meter
from tests.openai_server import OpenAIServer
from tests.router.test_predictor import knowing

CHAT = "/v1/chat/completions"
LEVEL = 0.9


class House:
    """Three models and a router before them; `sure` tells how sure the small one is."""

    def __init__(self, keys: Path | None = None, **changes: Any) -> None:
        self.small = OpenAIServer(lambda text: f"small: {text}")
        self.teacher = OpenAIServer(lambda text: f"teacher: {text}")
        self.next = OpenAIServer(lambda text: f"next: {text}")
        self.servers = {"small": self.small, "teacher": self.teacher, "next": self.next}
        for server in (self.small, self.next):
            server.logprob = lambda text: math.log(0.5 if "hard" in text else 0.99)
        self.events: list[tuple[str, dict[str, object]]] = []
        self.draws: list[float] = []
        self.registry = CollectorRegistry()
        self.meter = RouterMeter("USD", self.registry)
        prices = {"small": 1.0, "teacher": 10.0, "next": 0.5}
        content: dict[str, Any] = {
            "upstreams": {
                name: {
                    "base_url": server.base_url,
                    "model": f"{name}-model",
                    "price_per_1000_requests": prices[name],
                    "seconds": 5,
                }
                for name, server in self.servers.items()
            },
            "tiers": {
                "standard": ["small", "teacher"],
                "free": ["small"],
                "premium": ["teacher"],
            },
            "default_tier": "standard",
        }
        self.calibration: Calibration | None = Calibration(
            workload="tiny",
            models=("small", "teacher"),
            level=LEVEL,
            floor=0.98,
            confidence=0.95,
            kept=(0.8, 0.2),
            recommended=True,
            why="tested",
            expires=today() + timedelta(days=changes.pop("days", 1)),
            predictor=changes.pop("predictor", None),
        )
        self.deployment = Deployment.model_validate(content | changes)
        self.spending = Spending(None)
        self.access = Access(keys)

    async def client(self) -> httpx.AsyncClient:
        """A client of the router, which lives in this event loop."""
        outgoing = httpx.AsyncClient(trust_env=False)
        ups = {n: Upstream(n, c, outgoing) for n, c in self.deployment.upstreams.items()}
        events = Events("tiny", outgoing, self.deployment.events_url)
        tell, told = events.tell, self.events

        def note(kind: str, facts: Any) -> None:
            told.append((kind, dict(facts)))
            tell(kind, facts)

        events.tell = note  # type: ignore[method-assign]
        watch = Watch(self.deployment, self.calibration, events)
        draws = iter(self.draws)
        app = create_app(
            "tiny",
            tuple(self.deployment.tiers),
            self.deployment.default_tier,
            self.access,
            Limits(),
        )
        app.state.router = self.router = Router(
            self.deployment,
            self.calibration,
            ups,
            self.spending,
            watch,
            self.meter,
            lambda: next(draws, 1.0),
        )
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1")

    def ask(self, *texts: str, headers: dict[str, str] | None = None) -> list[httpx.Response]:
        """One request after the other."""

        async def all_of_them() -> list[httpx.Response]:
            client = await self.client()
            given = [await client.post(CHAT, json=user(t), headers=headers) for t in texts]
            await asyncio.gather(*self.router._shadows)
            return given

        return asyncio.run(all_of_them())

    def value(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0


def user(text: str, **more: object) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **more}


def text_of(response: httpx.Response) -> str:
    return str(response.json()["choices"][0]["message"]["content"])


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    def meter(model: str, routes: Any) -> Meter:
        return Meter(model, routes, CollectorRegistry())

    monkeypatch.setattr(router_api, "Meter", meter)


@pytest.fixture
def house() -> Iterator[Callable[..., House]]:
    made: list[House] = []

    def make(*arguments: Any, **changes: Any) -> House:
        made.append(House(*arguments, **changes))
        return made[-1]

    yield make
    for each in made:
        for server in each.servers.values():
            server.close()


@contextmanager
def down(server: OpenAIServer) -> Iterator[None]:
    server.failing = [500] * 100
    yield
    server.failing = []


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


def test_a_wrong_request_is_the_clients_and_asks_nobody_else(house: Callable[..., House]) -> None:
    home = house()
    home.small.failing = [400]
    [answer] = home.ask("easy")
    assert answer.status_code == 400
    assert answer.json() == {"error": {"message": "not now"}}
    assert home.teacher.asked == []


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


def test_a_shadow_is_asked_and_compared_and_answers_nobody(house: Callable[..., House]) -> None:
    home = house(shadow={"upstream": "next", "of": "small", "share": 1.0})
    home.draws = [0.0] * 100
    answers = home.ask("easy", "easy", "hard")

    assert [text_of(each) for each in answers] == ["small: easy"] * 2 + ["teacher: hard"]
    assert len(home.next.asked) == 2
    other = {"upstream": "next", "outcome": "other"}
    assert home.value("stillhouse_shadow_total", **other) == 2


def test_drift_of_the_share_that_goes_on_is_told_once(house: Callable[..., House]) -> None:
    home = house(events_url="http://127.0.0.1:1/api")
    home.ask(*["hard"] * 40)
    [(kind, facts)] = home.events
    assert (kind, facts["expected"], facts["seen"]) == ("escalation-drift", 0.2, 1.0)


@pytest.mark.parametrize(("text", "said"), [("easy", "small: easy"), ("hard", "teacher: hard")])
def test_a_stream_is_a_cheap_answer_in_pieces_or_the_dear_one_as_it_comes(
    house: Callable[..., House], text: str, said: str
) -> None:
    home = house()

    async def ask() -> tuple[str, str]:
        client = await home.client()
        response = await client.post(CHAT, json=user(text, stream=True))
        lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
        assert lines[-1] == "[DONE]"
        pieces = [json.loads(line)["choices"][0]["delta"].get("content", "") for line in lines[:-1]]
        return "".join(pieces), response.headers["x-stillhouse-upstream"]

    assert asyncio.run(ask()) == (said, said.partition(":")[0])


def test_a_stream_falls_back_on_the_cheap_answer(house: Callable[..., House]) -> None:
    home = house()

    async def ask() -> httpx.Response:
        client = await home.client()
        return await client.post(CHAT, json=user("hard", stream=True))

    with down(home.teacher):
        response = asyncio.run(ask())
    assert "small: hard" in response.text
    assert response.headers["x-stillhouse-degraded"] == "true"


def test_a_stream_that_does_not_begin_costs_nothing(house: Callable[..., House]) -> None:
    home = house()

    async def ask() -> httpx.Response:
        client = await home.client()
        headers = {"X-Stillhouse-Tier": "premium"}
        return await client.post(CHAT, json=user("hard", stream=True), headers=headers)

    with down(home.teacher):
        assert asyncio.run(ask()).status_code == 503
    assert home.spending.spent("anonymous") == 0
    assert home.value("stillhouse_upstream_failures_total", upstream="teacher") == 1


def test_a_stream_that_breaks_off_before_its_first_piece_is_unavailable(
    house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = house()

    async def broken(_: httpx.Response) -> AsyncIterator[bytes]:
        raise httpx.ReadError("gone")
        yield b""

    monkeypatch.setattr(httpx.Response, "aiter_bytes", broken)

    async def ask() -> None:
        await home.client()
        with pytest.raises(UnavailableError):
            await router_api._streamed(home.router, user("hard"), "a", "premium", "tiny")

    asyncio.run(ask())
    assert home.spending.spent("a") == 0


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
