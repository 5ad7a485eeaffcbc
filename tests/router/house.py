"""A router before three small servers, in the process of a test: `House().ask("easy", "hard")`."""

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from prometheus_client import CollectorRegistry

from bentos.router.api import create_app
from bentos.router.calibration import Calibration
from bentos.router.deployment import Deployment
from bentos.router.events import Events
from bentos.router.meter import RouterMeter
from bentos.router.routing import Router
from bentos.router.spending import Spending, today
from bentos.router.stops import Stops
from bentos.router.upstream import Upstream
from bentos.router.watch import Watch
from bentos.web.access import Access
from bentos.web.limits import Limits
from tests.openai_server import OpenAIServer

CHAT = "/v1/chat/completions"
LEVEL = 0.9


class House:
    """Three models and a router before them; `teacher_price` is by the request if not told."""

    def __init__(
        self,
        keys: Path | None = None,
        teacher_price: dict[str, float] | None = None,
        **changes: Any,
    ) -> None:
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
        prices = {
            name: {"price_per_1000_requests": price}
            for name, price in {"small": 1.0, "teacher": 10.0, "next": 0.5}.items()
        }
        prices["teacher"] = teacher_price or prices["teacher"]
        content: dict[str, Any] = {
            "upstreams": {
                name: {
                    "base_url": server.base_url,
                    "model": f"{name}-model",
                    "seconds": 5,
                }
                | prices[name]
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
            rows=500,
            recommended=True,
            why="tested",
            expires=today() + timedelta(days=changes.pop("days", 1)),
            predictor=changes.pop("predictor", None),
            system=changes.pop("system", None),
        )
        self.deployment = Deployment.model_validate(content | changes)
        self.spending, self.stops = Spending(None), Stops(None)
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
        watch = Watch(self.deployment, self.calibration, events, self.stops)
        draws = iter(self.draws)
        self.app = create_app(
            "tiny",
            tuple(self.deployment.tiers),
            self.deployment.default_tier,
            self.access,
            Limits(),
        )
        self.app.state.router = self.router = Router(
            self.deployment,
            self.calibration,
            ups,
            self.spending,
            watch,
            self.meter,
            lambda: next(draws, 1.0),
        )
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app), base_url="http://127.0.0.1"
        )

    def ask(self, *texts: str, headers: dict[str, str] | None = None) -> list[httpx.Response]:
        """One request after the other."""
        return self.send(*(user(text) for text in texts), headers=headers)

    def send(
        self, *bodies: dict[str, Any], headers: dict[str, str] | None = None
    ) -> list[httpx.Response]:
        """The same, of whole bodies."""

        async def all_of_them() -> list[httpx.Response]:
            client = await self.client()
            given = [await client.post(CHAT, json=body, headers=headers) for body in bodies]
            await asyncio.gather(*self.router._shadows)
            return given

        return asyncio.run(all_of_them())

    def value(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0


def user(text: str, **more: object) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **more}


def text_of(response: httpx.Response) -> str:
    return str(response.json()["choices"][0]["message"]["content"])


@contextmanager
def down(server: OpenAIServer) -> Iterator[None]:
    server.failing = [500] * 100
    yield
    server.failing = []
