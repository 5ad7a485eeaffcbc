from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from bentos.router import api as router_api
from bentos.web.meter import Meter
from tests.router.house import House


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
