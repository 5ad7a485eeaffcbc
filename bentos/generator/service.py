"""The Bento's service: `bentoml serve bentos.generator.service:Generator --host 127.0.0.1`.

Serves the model in the folder `model` beside this file, or in STILLHOUSE_MODEL, to those who have
a key of the file STILLHOUSE_KEYS; without one, over loopback only (see bentos.web.access).
"""

import os
import threading
from pathlib import Path

import bentoml
from fastapi import FastAPI, Request
from fastapi.responses import Response

from bentos.generator import serving
from bentos.generator.api import create_app
from bentos.generator.engine import EngineGoneError, load_engine
from bentos.generator.feedback import Feedback
from bentos.generator.prompt import Renderer
from bentos.generator.serving import Serving
from bentos.web import errors, traces
from bentos.web.access import Access
from bentos.web.errors import ApiError

MODEL = Path(os.environ.get("STILLHOUSE_MODEL", Path(__file__).parent / "model"))
SECONDS_TO_SPARE = 5.0
"""By which BentoML gives up later than the app, which says so in OpenAI's form. Not longer: BentoML
keeps a timer of every request until then."""

SECONDS_TO_LEAVE = 1.0
"""For what is being sent when the process ends."""
SECONDS_TO_LOAD = 60


def _read() -> tuple[Serving, FastAPI]:
    try:
        facts = serving.read(MODEL)
        feedback = Feedback.from_environment(facts.model_name, facts.feedback)
        renderer, access = Renderer.from_folder(MODEL), Access.from_environment()
        return facts, create_app(facts, renderer, access, feedback)
    except (OSError, ValueError) as error:
        raise SystemExit(f"cannot serve: {error}") from error


async def _start_again(_: Request, error: Exception) -> Response:
    """End this process: BentoML starts another worker, with another engine."""
    leave = threading.Timer(SECONDS_TO_LEAVE, os._exit, [1])
    leave.daemon = True
    leave.start()
    headers = {"Retry-After": str(SECONDS_TO_LOAD)}
    return errors.response(ApiError(503, str(error), code="engine_gone", headers=headers))


facts, app = _read()
limits = facts.limits
app.add_exception_handler(EngineGoneError, _start_again)


@bentoml.service(
    name="generator",
    workers=1,
    traffic={"timeout": limits.body_seconds + limits.answer_seconds + SECONDS_TO_SPARE},
    tracing=traces.from_environment(),
)
@bentoml.asgi_app(app)
class Generator:
    """One model behind OpenAI's endpoints and /predict."""

    def __init__(self) -> None:
        try:
            serving.verify(facts, MODEL)
            schemas = facts.decoding.choices is None
            self._engine = load_engine(facts.engine, MODEL, facts.prefix_caching, schemas)
        except (OSError, ValueError) as error:
            raise SystemExit(f"cannot serve: {error}") from error
        app.state.engine = self._engine

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def stop(self) -> None:
        """Free the model."""
        self._engine.close()
