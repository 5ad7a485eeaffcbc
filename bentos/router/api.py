"""The HTTP interface of a router: one OpenAI endpoint in front of several models.

    app = create_app("sentiment", ["free", "standard"], "standard", access, limits)
    app.state.router = Router(...)

X-Stillhouse-Tier asks for a tier that the key opens. X-Stillhouse-Upstream tells whose answer it
is, X-Stillhouse-Asked who was asked, X-Stillhouse-Degraded that a dearer model should have been.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Annotated, Any, Final

from fastapi import FastAPI, Header, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from bentos.router.routing import OverLimitError, Routed, Router, Streamed
from bentos.router.upstream import RefusedError, UnavailableError
from bentos.web import errors, openapi
from bentos.web.access import Access
from bentos.web.door import VISITOR, Door, Visitor
from bentos.web.errors import ApiError
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


class ChatBody(BaseModel):
    """What the router reads of a request; all else goes on as it is."""

    model_config = ConfigDict(extra="allow", strict=True, protected_namespaces=())

    model: str | None = None
    messages: Annotated[list[Turn], Field(min_length=1)]
    stream: bool | None = None


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
    app = FastAPI(title=f"{workload} router", redoc_url=None, responses=openapi.ERRORS)
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
        try:
            if body.stream:
                return await _streamed(router, asked, holder, tier, self._workload)
            routed = await router.answer(asked, holder, tier)
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
        content = {**routed.answer.body, "model": self._workload}
        return JSONResponse(content, headers=_headers(routed))

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


async def _streamed(
    router: Router, asked: Mapping[str, Any], holder: str, tier: str, workload: str
) -> Response:
    async with AsyncExitStack() as opening:
        answer = await opening.enter_async_context(router.stream(asked, holder, tier))
        first = await anext(answer.events, None) if isinstance(answer, Streamed) else None
        stack = opening.pop_all()
    match answer:
        case Streamed():
            headers = {"X-Stillhouse-Upstream": answer.upstream}
            pieces = _piped(stack, first, answer.events)
        case Routed():
            headers = _headers(answer)
            pieces = _whole(stack, answer, workload)
    return StreamingResponse(pieces, media_type="text/event-stream", headers=headers)


async def _piped(
    stack: AsyncExitStack, first: bytes | None, rest: AsyncIterator[bytes]
) -> AsyncIterator[bytes]:
    async with stack:
        try:
            if first is not None:
                yield first
            async for piece in rest:
                yield piece
        except Exception:
            # The client has a part of the answer: all that is left is to say that it is no whole.
            yield _event(errors.body(ApiError(502, "the model broke off")))


async def _whole(stack: AsyncExitStack, routed: Routed, workload: str) -> AsyncIterator[bytes]:
    """An answer that came at once, in the form of a stream."""
    async with stack:
        body = routed.answer.body
        head = {"id": body.get("id"), "created": body.get("created"), "model": workload}
        head["object"] = "chat.completion.chunk"
        for choice in body.get("choices") or ():
            place = {"index": choice.get("index", 0), "logprobs": None}
            delta = {"role": "assistant", "content": (choice.get("message") or {}).get("content")}
            yield _event({**head, "choices": [{**place, "delta": delta, "finish_reason": None}]})
            end = {**place, "delta": {}, "finish_reason": choice.get("finish_reason")}
            yield _event({**head, "choices": [end]})
        yield b"data: [DONE]\n\n"


def _event(body: Mapping[str, object]) -> bytes:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n".encode()


def _headers(routed: Routed) -> dict[str, str]:
    told = {
        "X-Stillhouse-Upstream": routed.upstream,
        "X-Stillhouse-Asked": ",".join(routed.asked),
    }
    return told | ({"X-Stillhouse-Degraded": "true"} if routed.degraded else {})
