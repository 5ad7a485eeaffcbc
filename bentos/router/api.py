"""The HTTP interface of a router: one OpenAI endpoint in front of several models.

    app = create_app("sentiment", ["free", "standard"], "standard", access, limits)
    app.state.router = Router(...)

X-Stillhouse-Tier asks for a tier that the key opens. X-Stillhouse-Upstream tells whose answer it
is, X-Stillhouse-Asked who was asked, X-Stillhouse-Degraded that a dearer model should have been.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Annotated, Any, Final

from fastapi import FastAPI, Header, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from bentos.router.bills import OverLimitError
from bentos.router.routing import Routed, Router, Streamed
from bentos.router.upstream import RefusedError, UnavailableError
from bentos.web import errors, openapi, traces
from bentos.web.access import Access
from bentos.web.connection import CLIENT_GONE, while_connected
from bentos.web.door import VISITOR, Door, Visitor
from bentos.web.errors import ApiError
from bentos.web.event_stream import LAST, EventStream, sse
from bentos.web.limits import Limits
from bentos.web.meter import Meter

MODELS, CHAT = "/v1/models", "/v1/chat/completions"
NOBODY: Final = "anonymous"
"""Who spends where no keys are asked for."""


class Turn(BaseModel):
    """A message, as a model's API will read it."""

    model_config = ConfigDict(extra="allow")

    role: Annotated[str, Field(min_length=1, max_length=32)]
    content: str | list[dict[str, Any]] | None = None


Tokens = Annotated[int, Field(ge=1, le=1_000_000)]


class ChatBody(BaseModel):
    """What the router reads of a request; all else goes on as it is.

    Numbers that decide what an answer may cost have bounds: nobody sets aside less than nothing.
    """

    model_config = ConfigDict(extra="allow", strict=True, protected_namespaces=())

    model: str | None = None
    messages: Annotated[list[Turn], Field(min_length=1)]
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None


def create_app(
    workload: str, tiers: Sequence[str], default_tier: str, access: Access, limits: Limits
) -> FastAPI:
    """The application; its `state.router` must be set before the first request.

    Args:
        workload: the one name that all models answer to.
        tiers: what a key may open.
        default_tier: of requests without a key.
        access: who has one.
        limits: of requests.
    """
    app = FastAPI(
        title=f"{workload} router",
        redoc_url=None,
        responses=openapi.ERRORS,
        telemetry=traces.BY_BENTOML,
    )
    app.state.router = None
    meter = Meter(f"{workload}-router", (MODELS, CHAT))
    api = _Api(app, workload, tiers, default_tier)
    errors.add_handlers(app)
    app.add_middleware(Door, access=access, limits=limits, scopes=tiers, meter=meter)
    app.add_api_route(MODELS, api.models, methods=["GET"])
    app.add_api_route(CHAT, api.chat, methods=["POST"], responses=openapi.STREAM)
    return app


class _Api:
    def __init__(
        self, app: FastAPI, workload: str, tiers: Sequence[str], default_tier: str
    ) -> None:
        self._app, self._workload = app, workload
        self._tiers, self._default = tuple(tiers), default_tier

    async def models(self) -> dict[str, object]:
        """The one name that all models answer to."""
        card = {"id": self._workload, "object": "model", "created": 0, "owned_by": "stillhouse"}
        return {"object": "list", "data": [card]}

    async def chat(
        self,
        request: Request,
        body: ChatBody,
        x_stillhouse_tier: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Answer a conversation by the cheapest model that is good enough."""
        router: Router | None = self._app.state.router
        if router is None:
            raise ApiError(503, "the router is still starting")
        if body.model not in (None, self._workload):
            raise ApiError(
                404, f"there is the model {self._workload} here", "model", "model_not_found"
            )
        visitor: Visitor | None = request.scope.get(VISITOR)
        tier = self._tier(visitor, x_stillhouse_tier)
        holder = visitor.name if visitor else NOBODY
        asked = body.model_dump(exclude_unset=True)
        work = self._streamed if body.stream else self._whole
        try:
            answer = await while_connected(request, work(router, asked, holder, tier))
        except OverLimitError:
            raise ApiError(
                429, "what this key may spend today is spent", code="insufficient_quota"
            ) from None
        except UnavailableError as error:
            raise ApiError(503, str(error), headers={"Retry-After": "5"}) from None
        except RefusedError as error:
            told = (
                error.body
                if isinstance(error.body, dict)
                else errors.body(ApiError(error.status, "the model refuses this request"))
            )
            return JSONResponse(told, status_code=error.status)
        return answer or Response(status_code=CLIENT_GONE)

    async def _whole(
        self, router: Router, asked: Mapping[str, Any], holder: str, tier: str
    ) -> Response:
        routed = await router.answer(asked, holder, tier)
        content = {**routed.answer.body, "model": self._workload}
        return JSONResponse(content, headers=_headers(routed))

    async def _streamed(
        self, router: Router, asked: Mapping[str, Any], holder: str, tier: str
    ) -> Response:
        async with AsyncExitStack() as opening:
            answer = await opening.enter_async_context(router.stream(asked, holder, tier))
            stack = opening.pop_all()
        match answer:
            case Streamed():
                headers = {"X-Stillhouse-Upstream": answer.upstream}
                pieces = _piped(stack, answer.events, self._workload)
            case Routed():
                headers = _headers(answer)
                usage = bool((asked.get("stream_options") or {}).get("include_usage"))
                pieces = _cut(stack, answer.answer.body, self._workload, usage)
        return EventStream(pieces, headers)

    def _tier(self, visitor: Visitor | None, wanted: str | None) -> str:
        """What is asked for, if the key opens it; else the first that it opens."""
        opened = visitor.scopes if visitor else self._tiers
        if wanted is None:
            return opened[0] if visitor else self._default
        if wanted not in opened:
            raise ApiError(
                403, f"the tier {wanted[:64]} is not open to this key", code="insufficient_scope"
            )
        return wanted


async def _piped(
    stack: AsyncExitStack, events: AsyncIterator[dict[str, Any]], workload: str
) -> AsyncGenerator[bytes, None]:
    try:
        async with stack:
            async for event in events:
                yield sse({**event, "model": workload})
    except Exception:
        # The client has a part of the answer: all that is left is to say that it is no whole.
        yield sse(errors.body(ApiError(502, "the model broke off")))
        return
    yield LAST


async def _cut(
    stack: AsyncExitStack, body: Mapping[str, Any], workload: str, usage: bool
) -> AsyncGenerator[bytes, None]:
    """An answer that came at once, in the form of a stream."""
    async with stack:
        head = {"id": body.get("id"), "created": body.get("created"), "model": workload}
        head["object"] = "chat.completion.chunk"
        for choice in body.get("choices") or ():
            place = {"index": choice.get("index", 0)}
            piece = {"delta": _delta(choice.get("message") or {}), "finish_reason": None}
            told = {**place, **piece, "logprobs": choice.get("logprobs")}
            yield sse({**head, "choices": [told]})
            end = {"delta": {}, "finish_reason": choice.get("finish_reason"), "logprobs": None}
            yield sse({**head, "choices": [{**place, **end}]})
        if usage:
            yield sse({**head, "choices": [], "usage": body.get("usage")})
        yield LAST


def _delta(message: Mapping[str, Any]) -> dict[str, Any]:
    """A whole message as a stream's only one, where calls of tools have numbers."""
    calls = message.get("tool_calls")
    told = {"role": "assistant", **message}
    if calls:
        told["tool_calls"] = [{"index": number, **call} for number, call in enumerate(calls)]
    return told


def _headers(routed: Routed) -> dict[str, str]:
    told = {
        "X-Stillhouse-Upstream": routed.upstream,
        "X-Stillhouse-Asked": ",".join(routed.asked),
    }
    return told | ({"X-Stillhouse-Degraded": "true"} if routed.degraded else {})
