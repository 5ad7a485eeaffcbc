"""The router's service: `bentoml serve bentos.router.service:Router --host 127.0.0.1`.

STILLHOUSE_ROUTER names the file that says where the models are (bentos.router.deployment); the
calibration is the router.json in the folder `calibration` beside this file, or in
STILLHOUSE_CALIBRATION. STILLHOUSE_SPENDING names the file of what was spent and of which canaries
were stopped, which is forgotten with the process otherwise. Keys are those of STILLHOUSE_KEYS
(bentos.web.access); scopes are tiers.
"""

import os
from pathlib import Path

import bentoml
import httpx
from fastapi import FastAPI

from bentos.router import calibration, deployment
from bentos.router.api import create_app
from bentos.router.calibration import Calibration
from bentos.router.deployment import Deployment
from bentos.router.events import Events
from bentos.router.meter import RouterMeter
from bentos.router.routing import Router as Routing
from bentos.router.spending import Spending
from bentos.router.stops import Stops
from bentos.router.upstream import Upstream
from bentos.router.watch import Watch
from bentos.web import json_file, traces
from bentos.web.access import Access
from bentos.web.limits import Limits

CALIBRATION = Path(os.environ.get("STILLHOUSE_CALIBRATION", Path(__file__).parent / "calibration"))
CONNECTIONS = 1024
SECONDS_TO_SPARE = 5.0
"""By which BentoML gives up later than the app, which says so in OpenAI's form."""


def _read() -> tuple[Calibration | None, Deployment | None, FastAPI]:
    """What is known when this file is imported; BentoML also does so to build, without models."""
    try:
        known = calibration.read(CALIBRATION) if CALIBRATION.is_dir() else None
        told = deployment.from_environment()
        name = known.workload if known else "router"
        tiers = tuple(told.tiers) if told else ()
        default = told.default_tier if told else ""
        limits = told.limits if told else Limits()
        return known, told, create_app(name, tiers, default, Access.from_environment(), limits)
    except (OSError, ValueError) as error:
        raise SystemExit(f"cannot route: {error}") from error


known, told, app = _read()
longest = SECONDS_TO_SPARE + (told.longest_seconds + told.limits.body_seconds if told else 0)


@bentoml.service(
    name="router",
    workers=1,
    traffic={"timeout": longest},
    tracing=traces.from_environment(),
)
@bentoml.asgi_app(app)
class Router:
    """Several models behind one OpenAI endpoint."""

    def __init__(self) -> None:
        if told is None:
            raise SystemExit(
                f"cannot route: {deployment.VARIABLE} must name the file that says where models are"
            )
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        # No proxies of the environment and no redirects: only what the file names is asked.
        client = httpx.AsyncClient(limits=limits, trust_env=False, follow_redirects=False)
        try:
            upstreams = {n: Upstream(n, c, client) for n, c in told.upstreams.items()}
            file = json_file.named("STILLHOUSE_SPENDING")
            self._spending, self._stops = Spending(file), Stops(file)
        except (OSError, ValueError) as error:
            raise SystemExit(f"cannot route: {error}") from error
        workload = known.workload if known else "router"
        events = Events(workload, client, told.events_url)
        watch = Watch(told, known, events, self._stops)
        meter = RouterMeter(told.currency)
        app.state.router = Routing(told, known, upstreams, self._spending, watch, meter)

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def stop(self) -> None:
        """Close what was opened."""
        self._spending.close()
        self._stops.close()
