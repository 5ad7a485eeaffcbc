"""Which model answers a request: tiers, cascade, limits of spending, fallback, canary, shadow.

    router = Router(deployment, calibration, upstreams, spending, watch, meter)
    routed = await router.answer(body, holder="team-a", tier="standard")
    routed.upstream, routed.answer.body

Models of a tier are asked from the cheapest on until one is sure enough. That needs a calibration
of these very models: without one, or after its day, the tier's last model is asked alone, whose
quality needs no proof. So it is where the calibration's predictor sees that no other will do.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, NamedTuple

from bentos.router.calibration import Calibration
from bentos.router.deployment import Deployment, guess
from bentos.router.meter import RouterMeter
from bentos.router.spending import Spending, today
from bentos.router.upstream import Answer, UnavailableError, Upstream
from bentos.router.watch import Watch

FAILURES: Final = 3
"""In a row; then a model is left alone for a while."""

REST_SECONDS: Final = 5.0

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
    """An answer that comes piece by piece, in OpenAI's events."""

    events: AsyncIterator[bytes]
    upstream: str


class OverLimitError(Exception):
    """The holder of the key has spent what a day may cost."""


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
        self._upstreams, self._spending = upstreams, spending
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
        models = self._deployment.tiers[tier]
        level = self._level(models, body)
        plan = models[::-1] if level is None else models
        routed = await self._cascade(plan, level, body, holder)
        if routed is None:
            raise UnavailableError(f"none of {', '.join(models)} answers now")
        self._answered(routed, body, tier)
        return routed

    @asynccontextmanager
    async def stream(
        self, body: Mapping[str, Any], holder: str, tier: str
    ) -> "AsyncIterator[Streamed | Routed]":
        """The answer as it comes; whole where a cheaper model's answer is kept.

        Raises what `answer` does, before the first piece.
        """
        models = self._deployment.tiers[tier]
        routed, level = None, self._level(models, body)
        if level is not None:
            routed = await self._cascade(models[:-1], level, body, holder, onward=True)
        async with AsyncExitStack() as stack:
            answer: Streamed | Routed | None = routed
            if routed is None or routed.degraded:
                try:
                    opened = self._opened(models[-1], body, holder)
                    answer = Streamed(await stack.enter_async_context(opened), models[-1])
                    self._meter.routed(tier, models[-1], degraded=False)
                except (UnavailableError, OverLimitError):
                    if routed is None:
                        raise
            if isinstance(answer, Routed):
                self._answered(answer, body, tier)
            if answer is not None:
                yield answer

    @asynccontextmanager
    async def _opened(
        self, name: str, body: Mapping[str, Any], holder: str
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The stream of the last model.

        What it cost by the token is told at its end, to the client: here the guess stands.
        """
        reserved = self._reserve(name, body, holder)
        try:
            async with self._upstreams[name].stream(body) as events:
                self._meter.cost(name, reserved)
                yield events
        except UnavailableError:
            self._spending.settle(holder, reserved, paid=0.0)
            self._failed(name)
            raise

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
    ) -> Routed | None:
        """Ask one after the other until one is sure enough; None when nobody answers.

        Without a level the first answer stays, and is degraded if it is not the first one's. With
        `onward` a dearer model waits behind these, so that the last one must be sure, too.

        Raises:
            OverLimitError: nobody answers, and not all were affordable.
        """
        kept: Routed | None = None
        over: OverLimitError | None = None
        asked, price = list[str](), 0.0
        for position, name in enumerate(plan):
            settles = level is None or (position == len(plan) - 1 and not onward)
            try:
                answer, whose = await self._ask(name, body, holder, how_sure=not settles)
            except UnavailableError:
                if not settles:
                    self._watch.saw(name, name, good=False)
                continue
            except OverLimitError as error:
                over = error
                continue
            asked.append(whose)
            price += answer.price
            sure = settles or (answer.confidence or 0.0) >= (level or 0.0)
            if not settles:
                self._watch.saw(name, whose, good=sure)
            degraded = position > 0 if level is None else not sure
            kept = Routed(answer, whose, tuple(asked), price, degraded)
            if sure:
                return kept
        if kept is None and over is not None:
            raise over
        return kept

    async def _ask(
        self, name: str, body: Mapping[str, Any], holder: str, how_sure: bool
    ) -> tuple[Answer, str]:
        """An answer of `name`, or of the canary that stands in for it, and whose it is."""
        stand_in = self._watch.stands_in(name, self._draw)
        if stand_in != name:
            try:
                return await self._paid_answer(stand_in, body, holder, how_sure), stand_in
            except UnavailableError:
                self._watch.saw(name, stand_in, good=False)
        return await self._paid_answer(name, body, holder, how_sure), name

    async def _paid_answer(
        self, name: str, body: Mapping[str, Any], holder: str, how_sure: bool
    ) -> Answer:
        reserved, paid = self._reserve(name, body, holder), 0.0
        try:
            answer = await self._upstreams[name].ask(body, how_sure)
            paid = answer.price
        except UnavailableError:
            self._failed(name)
            raise
        finally:
            self._spending.settle(holder, reserved, paid)
            self._meter.cost(name, paid)
        self._failures.pop(name, None)
        return answer

    def _reserve(self, name: str, body: Mapping[str, Any], holder: str) -> float:
        """Set aside what a request to a model may cost."""
        if time.monotonic() < self._resting.get(name, 0.0):
            raise UnavailableError(f"{name}: failed {FAILURES} times in a row, and rests")
        amount = guess(self._upstreams[name].config, body)
        if not self._spending.reserve(holder, amount, self._deployment.limit_of(holder)):
            raise OverLimitError
        return amount

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
        self._shadow(routed, body)

    def _shadow(self, routed: Routed, body: Mapping[str, Any]) -> None:
        shadow = self._deployment.shadow
        if shadow is None or routed.upstream != shadow.of or self._draw() >= shadow.share:
            return
        if len(self._shadows) >= shadow.at_once:
            self._meter.shadowed(shadow.upstream, "left out")
            return
        task = asyncio.create_task(self._compare(shadow.upstream, routed.answer, dict(body)))
        self._shadows.add(task)
        task.add_done_callback(self._shadows.discard)

    async def _compare(self, name: str, answer: Answer, body: dict[str, Any]) -> None:
        try:
            other = await self._upstreams[name].ask(body)
        except Exception as error:
            _log.info("shadow %s: %s", name, type(error).__name__)
            self._meter.shadowed(name, "failed")
            return
        self._meter.cost(name, other.price)
        same = other.text.strip() == answer.text.strip()
        self._meter.shadowed(name, "same" if same else "other")
