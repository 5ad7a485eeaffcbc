"""Which model answers a request: tiers, cascade, limits of spending, fallback, canary, shadow.

    router = Router(deployment, calibration, upstreams, spending, watch, meter)
    routed = await router.answer(body, holder="team-a", tier="standard")
    routed.upstream, routed.answer.body

Models of a tier are asked from the cheapest on until one is sure enough. That needs a calibration
of these very models: without one, or after its day, the tier's last model is asked alone, whose
quality needs no proof. So it is where the calibration's predictor sees that no other will do. Where
a model does not answer, or takes no such request, the next one is asked.
"""

import asyncio
import logging
import random
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from bentos.router.bills import Bill, Bills, OverLimitError
from bentos.router.calibration import Calibration
from bentos.router.deployment import Deployment
from bentos.router.meter import RouterMeter
from bentos.router.spending import Spending, today
from bentos.router.upstream import Answer, Piece, RefusedError, UnavailableError, Upstream
from bentos.router.watch import Watch

FAILURES: Final = 3
"""In a row; then a model is left alone for a while."""

REST_SECONDS: Final = 5.0

NO_ANSWER: Final = (OverLimitError, UnavailableError, RefusedError)
"""Why a model gives none; where several have happened, clients are told the first of these."""

_log = logging.getLogger(__name__)


class Routed(NamedTuple):
    """An answer, and how it came about.

    Attributes:
        upstream: whose answer it is.
        asked: all that were asked, in order.
        price: of all of them.
        degraded: a dearer model should have answered, but was not there or not affordable.
    """

    answer: Answer
    upstream: str
    asked: tuple[str, ...]
    price: float
    degraded: bool


class Streamed(NamedTuple):
    """An answer that comes piece by piece, as OpenAI's events."""

    events: AsyncIterator[dict[str, Any]]
    upstream: str


Given = TypeVar("Given")


class Router:
    """See the module."""

    def __init__(
        self,
        deployment: Deployment,
        calibration: Calibration | None,
        upstreams: Mapping[str, Upstream],
        spending: Spending,
        watch: Watch,
        meter: RouterMeter,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`draw` gives a number from 0 to 1 for canary and shadow."""
        self._deployment, self._calibration = deployment, calibration
        self._upstreams, self._bills = upstreams, Bills(deployment, spending, meter)
        self._watch, self._meter, self._draw = watch, meter, draw
        self._failures: dict[str, int] = {}
        self._resting: dict[str, float] = {}
        self._shadows: set[asyncio.Task[None]] = set()

    async def answer(self, body: Mapping[str, Any], holder: str, tier: str) -> Routed:
        """The whole answer to a request.

        Raises:
            OverLimitError: not even the cheapest model is affordable today.
            UnavailableError: no model of the tier answers.
            RefusedError: the request is wrong.
        """
        body = self._with_system(body)
        models = self._deployment.tiers[tier]
        level = self._level(models, body)
        plan = models[::-1] if level is None else models
        routed = await self._cascade(plan, level, body, holder)
        self._answered(routed, body, tier)
        return routed

    @asynccontextmanager
    async def stream(
        self, body: Mapping[str, Any], holder: str, tier: str
    ) -> "AsyncIterator[Streamed | Routed]":
        """The answer as it comes; whole where it is a cheaper model's.

        Raises what `answer` does, before the first piece.
        """
        body = self._with_system(body)
        *cheaper, last = self._deployment.tiers[tier]
        level = self._level([*cheaper, last], body)
        kept: Routed | None = None
        if level is not None:
            with suppress(*NO_ANSWER):
                kept = await self._cascade(cheaper, level, body, holder, onward=True)
        async with AsyncExitStack() as stack:
            answer: Streamed | Routed
            if kept is not None and not kept.degraded:
                answer = kept
            else:
                try:
                    answer = await self._opened(stack, last, body, holder)
                except NO_ANSWER as error:
                    answer = kept or await self._stand_in(cheaper, level, body, holder, error)
            if isinstance(answer, Routed):
                self._answered(answer, body, tier)
            else:
                self._meter.routed(tier, answer.upstream, degraded=False)
            yield answer

    async def _opened(
        self, stack: AsyncExitStack, name: str, body: Mapping[str, Any], holder: str
    ) -> Streamed:
        """A stream that has begun, and ends with the stack."""

        def begin(drawn: str) -> Awaitable[AsyncIterator[dict[str, Any]]]:
            return stack.enter_async_context(self._begun(drawn, body, holder))

        return Streamed(*await self._drawn(name, begin, lambda _: True))

    @asynccontextmanager
    async def _begun(
        self, name: str, body: Mapping[str, Any], holder: str
    ) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        with self._asking(name, body, holder) as bill:
            async with self._upstreams[name].stream(body) as pieces:
                first = await anext(pieces, None)
                bill.begun = True
                async with aclosing(self._events(name, first, pieces, bill, body)) as events:
                    yield events

    async def _events(
        self,
        name: str,
        piece: Piece | None,
        others: AsyncIterator[Piece],
        bill: Bill,
        body: Mapping[str, Any],
    ) -> AsyncGenerator[dict[str, Any], None]:
        """What the client asked for: usage is asked for without it, where it tells the price."""
        usage = (body.get("stream_options") or {}).get("include_usage")
        said = ""
        while piece is not None:
            said += piece.text
            if piece.price is not None:
                bill.paid = piece.price
            if usage or piece.event.get("choices"):
                yield piece.event
            piece = await anext(others, None)
        self._shadow(name, said, body)

    async def _stand_in(
        self,
        cheaper: Sequence[str],
        level: float | None,
        body: Mapping[str, Any],
        holder: str,
        error: Exception,
    ) -> Routed:
        """A cheaper model's answer, where none was asked for one before the last one failed."""
        if level is not None or not cheaper or isinstance(error, RefusedError):
            raise error
        routed = await self._cascade(cheaper[::-1], None, body, holder)
        return routed._replace(degraded=True)

    def _with_system(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        system = self._calibration.system if self._calibration else None
        messages = body["messages"]
        if system is None or any(message["role"] == "system" for message in messages):
            return body
        return {**body, "messages": [{"role": "system", "content": system}, *messages]}

    def _level(self, models: Sequence[str], body: Mapping[str, Any]) -> float | None:
        """Confidence that is asked for; None where the last model is to be asked at once.

        That is where no calibration holds of these models, or where no cheaper answer would stay.
        """
        known = self._calibration
        if known is None or known.models != tuple(models) or today() > known.expires:
            return None
        if known.predictor is not None and not known.predictor.asks_cheap(body["messages"]):
            return None
        return known.level

    async def _cascade(
        self,
        plan: Sequence[str],
        level: float | None,
        body: Mapping[str, Any],
        holder: str,
        onward: bool = False,
    ) -> Routed:
        """Ask one after the other until one is sure enough, or the best of what came.

        Without a level the first answer stays, and is degraded if it is not the first one's. With
        `onward` a dearer model waits behind these, so that the last one must be sure, too.

        Raises:
            OverLimitError, UnavailableError, RefusedError: nobody answers.
        """
        kept: Routed | None = None
        asked, price, wrong = list[str](), 0.0, list[Exception]()
        for position, name in enumerate(plan):
            settles = level is None or (position == len(plan) - 1 and not onward)
            least = None if settles else level
            ask = partial(self._paid_answer, body=body, holder=holder, how_sure=not settles)
            try:
                answer, whose = await self._drawn(name, ask, partial(_is_sure, least=least))
            except NO_ANSWER as error:
                wrong.append(error)
                if level is None and isinstance(error, RefusedError):
                    break  # The dearest takes no such request: it is the client's mistake.
                continue
            asked.append(whose)
            price += answer.price
            sure = _is_sure(answer, least)
            if not settles and whose == name:
                self._watch.went_on(name, not sure)
            degraded = position > 0 if level is None else not sure
            kept = Routed(answer, whose, tuple(asked), price, degraded)
            if sure:
                return kept
        if kept is None:
            raise _first(wrong, NO_ANSWER)
        return kept

    async def _drawn(
        self, name: str, get: Callable[[str], Awaitable[Given]], good: Callable[[Given], bool]
    ) -> tuple[Given, str]:
        """What `get` gives of `name`, or of the canary that stands in for it; and whose it is.

        Only on whom the draw fell is judged, so that both are judged on requests alike.
        """
        drawn = self._watch.stands_in(name, self._draw)
        try:
            given = await get(drawn)
        except NO_ANSWER as error:
            if not isinstance(error, OverLimitError):
                self._watch.saw(name, drawn, good=False)
            if drawn == name:
                raise
            return await get(name), name
        self._watch.saw(name, drawn, good(given))
        return given, drawn

    async def _paid_answer(
        self, name: str, body: Mapping[str, Any], holder: str, how_sure: bool
    ) -> Answer:
        with self._asking(name, body, holder) as bill:
            answer = await self._upstreams[name].ask(body, how_sure)
            bill.paid = answer.price
        return answer

    @contextmanager
    def _asking(self, name: str, body: Mapping[str, Any], holder: str) -> Iterator[Bill]:
        """One request to a model; its failures in a row are counted."""
        if time.monotonic() < self._resting.get(name, 0.0):
            raise UnavailableError(f"{name}: failed {FAILURES} times in a row, and rests")
        with self._bills.open(name, body, holder) as bill:
            try:
                yield bill
            except UnavailableError:
                self._failed(name)
                raise
        self._failures.pop(name, None)

    def _failed(self, name: str) -> None:
        self._failures[name] = self._failures.get(name, 0) + 1
        self._meter.failed(name)
        if self._failures[name] >= FAILURES:
            self._resting[name] = time.monotonic() + REST_SECONDS
            self._failures.pop(name)

    def _answered(self, routed: Routed, body: Mapping[str, Any], tier: str) -> None:
        """Count a whole answer, what it saved against the tier's last model, and shadow it."""
        self._meter.routed(tier, routed.upstream, routed.degraded)
        usage = routed.answer.body.get("usage") or {}
        read, written = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
        dearest = self._upstreams[self._deployment.tiers[tier][-1]].config
        self._meter.saved(dearest.price(read, written) - routed.price)
        self._shadow(routed.upstream, routed.answer.text, body)

    def _shadow(self, name: str, said: str, body: Mapping[str, Any]) -> None:
        """Ask the shadow what `name` has answered."""
        shadow = self._deployment.shadow
        if shadow is None or name != shadow.of or self._draw() >= shadow.share:
            return
        if len(self._shadows) >= shadow.at_once:
            self._meter.shadowed(shadow.upstream, "left out")
            return
        task = asyncio.create_task(self._compare(shadow.upstream, said, dict(body)))
        self._shadows.add(task)
        task.add_done_callback(self._shadows.discard)

    async def _compare(self, name: str, said: str, body: dict[str, Any]) -> None:
        try:
            other = await self._upstreams[name].ask(body)
        except Exception as error:
            _log.info("shadow %s: %s", name, type(error).__name__)
            self._meter.shadowed(name, "failed")
            return
        self._meter.cost(name, other.price)
        same = other.text.strip() == said.strip()
        self._meter.shadowed(name, "same" if same else "other")


def _is_sure(answer: Answer, least: float | None) -> bool:
    return least is None or (answer.confidence or 0.0) >= least


def _first(errors: Sequence[Exception], kinds: Sequence[type[Exception]]) -> Exception:
    """The first error of the first kind of which there is one."""
    return next(error for kind in kinds for error in errors if isinstance(error, kind))
