"""Lets a request in or not: keys, size, and how many are inside at once.

    app.add_middleware(Door, access=Access.from_environment(), limits=Limits(), scopes=["generate"],
                       meter=Meter("sentiment", routes=["/predict"]))

A request is read whole before the application sees it, so that no slow or endless sender holds a
place; who is turned away hears why, in the form of the OpenAI API, at once.
"""

from collections.abc import Collection
from typing import Final, NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bentos.web import errors
from bentos.web.access import VARIABLE, Access, is_loopback
from bentos.web.errors import ApiError
from bentos.web.limits import Limits
from bentos.web.meter import UNANSWERED, Meter
from bentos.web.timer import within

RETRY_SECONDS: Final = 1
OPEN_PATHS: Final = frozenset({"/openapi.json", "/docs"})
"""Described to everybody: they hold no data."""


class Visitor(NamedTuple):
    """Whose key a request holds, and what of the service it opens, as its holder's file has it."""

    name: str
    scopes: tuple[str, ...]


VISITOR: Final = "stillhouse.visitor"
"""Where the application finds its Visitor in ASGI's scope; nowhere when no keys are asked for."""


class Door:
    """ASGI middleware."""

    def __init__(
        self,
        app: ASGIApp,
        access: Access,
        limits: Limits,
        scopes: Collection[str],
        meter: Meter,
    ) -> None:
        """`scopes` are those of which a key must have one."""
        self._app, self._access, self._limits, self._meter = app, access, limits, meter
        self._scopes = frozenset(scopes)
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or hand on."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        with self._meter.visit(scope["path"]) as visit:

            async def told(message: Message) -> None:
                if message["type"] == "http.response.start":
                    visit.status = str(message["status"])
                await send(message)

            try:
                await self._admit(scope, receive, told)
            except Exception as error:
                failed = errors.unexpected(error)
                # Of an answer that has begun nothing can be said; the server breaks it off.
                if visit.status == UNANSWERED:
                    await failed(scope, receive, told)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._check_key(scope)
            self._check_room(scope)
        except ApiError as error:
            await errors.response(error)(scope, receive, send)
            return
        self._inside += 1
        try:
            body = await self._read(receive)
            await self._app(scope, _replayed(body, receive), send)
        except ApiError as error:
            await errors.response(error)(scope, receive, send)
        except _GoneError:
            pass
        finally:
            self._inside -= 1

    def _check_key(self, scope: Scope) -> None:
        if self._access.is_open:
            host = (scope.get("server") or ("", None))[0]
            if is_loopback(host):
                return
            raise ApiError(
                403,
                f"this service has no keys, so it answers over loopback only; set {VARIABLE} to a "
                "file of keys (python -m bentos.web.access) to serve others",
            )
        known = self._access.holder(_header(scope, b"authorization"))
        if known is None:
            raise ApiError(
                401,
                "no such API key; send one that is in use as Authorization: Bearer KEY",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )
        name, holder = known
        opened = [each for each in holder.scopes if each in self._scopes]
        if not opened:
            needed = ", ".join(sorted(self._scopes))
            raise ApiError(403, f"this key does not open {needed}", code="insufficient_scope")
        scope[VISITOR] = Visitor(name, tuple(opened))

    def _check_room(self, scope: Scope) -> None:
        length = _header(scope, b"content-length")
        if length.isdigit() and int(length) > self._limits.body_bytes:
            raise self._too_large()
        if self._inside >= self._limits.concurrent_requests:
            raise ApiError(
                429,
                f"{self._inside} requests are being answered; come again in a moment",
                code="overloaded",
                headers={"Retry-After": str(RETRY_SECONDS)},
            )

    async def _read(self, receive: Receive) -> bytes:
        pieces, size, more = [], 0, True
        try:
            async with within(self._limits.body_seconds):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _GoneError
                    piece = message.get("body", b"")
                    size += len(piece)
                    if size > self._limits.body_bytes:
                        raise self._too_large()
                    pieces.append(piece)
                    more = message.get("more_body", False)
        except TimeoutError:
            late = f"the request has not come within {self._limits.body_seconds:g} s"
            raise ApiError(408, late) from None
        return b"".join(pieces)

    def _too_large(self) -> ApiError:
        return ApiError(
            413,
            f"the request has more than {self._limits.body_bytes} bytes",
            code="request_too_large",
        )


class _GoneError(Exception):
    """The client went away before its request had come."""


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body first, then whatever else comes."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _header(scope: Scope, name: bytes) -> str:
    found = (value for key, value in scope["headers"] if key == name)
    return str(next(found, b"").decode("latin-1"))
