"""Asks one model over HTTP.

upstream = Upstream("small-int8", config, client)
answer = await upstream.ask({"messages": [...]})
answer.body, answer.price, answer.confidence
"""

import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, NamedTuple

import httpx

from bentos.router.confidence import confidence
from bentos.router.deployment import UpstreamConfig
from bentos.web.timer import within

PATH: Final = "/chat/completions"
DATA, DONE = "data:", "[DONE]"
"""How events of a stream begin, and what the last one says."""

BUSY: Final = frozenset({408, 409, 425, 429})
"""Refusals that say nothing of the request: another model may answer it."""


class Answer(NamedTuple):
    """A whole answer.

    Attributes:
        body: as the model's API gave it.
        price: what it cost.
        confidence: how sure the model is; None where it was not asked or does not tell.
    """

    body: dict[str, Any]
    price: float
    confidence: float | None

    @property
    def text(self) -> str:
        """Of the first choice."""
        choices = self.body.get("choices") or [{}]
        return str((choices[0].get("message") or {}).get("content") or "")


class Piece(NamedTuple):
    """A piece of an answer.

    Attributes:
        event: as the model's API gave it.
        text: that it adds to the first choice.
        price: of the whole answer, where this piece tells it.
    """

    event: dict[str, Any]
    text: str
    price: float | None


class UnavailableError(Exception):
    """The model does not answer now; another one may."""


class RefusedError(Exception):
    """The model takes no such request: it is wrong, or another model's."""

    def __init__(self, status: int, body: object) -> None:
        super().__init__(f"refused with {status}")
        self.status, self.body = status, body


class Upstream:
    """One model."""

    def __init__(self, name: str, config: UpstreamConfig, client: httpx.AsyncClient) -> None:
        """Needs its key in the environment.

        Raises:
            ValueError: it is not there.
        """
        self.name, self.config, self._client = name, config, client
        key = config.key()
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._url = config.base_url.rstrip("/") + PATH

    async def ask(self, body: Mapping[str, Any], how_sure: bool = False) -> Answer:
        """The whole answer.

        Raises:
            UnavailableError: none came, or not now.
            RefusedError: the request is wrong.
        """
        asks = how_sure and self.config.tells_confidence
        told = {**body, "model": self.config.model, "stream": False}
        told.pop("stream_options", None)
        if asks:
            told["logprobs"] = True
        response = await self._send(told, stream=False)
        _check(self.name, response.status_code, response.content)
        try:
            content = response.json()
            price = self._price(content.get("usage") or {})
            sure = confidence(_logprobs(content)) if asks else None
        except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
            raise UnavailableError(f"{self.name}: its answer is none of OpenAI's") from error
        if asks and not body.get("logprobs"):
            for choice in content["choices"]:
                choice["logprobs"] = None
        return Answer(content, price, sure)

    @asynccontextmanager
    async def stream(self, body: Mapping[str, Any]) -> AsyncIterator[AsyncGenerator[Piece, None]]:
        """The answer piece by piece, which raise UnavailableError where it breaks off.

        Raises:
            UnavailableError: none came, or not now.
            RefusedError: the request is wrong.
        """
        told = {**body, "model": self.config.model, "stream": True}
        if self.config.by_token:
            told["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
        until = time.monotonic() + self.config.seconds
        async with aclosing(await self._send(told, stream=True)) as response:
            if response.status_code != httpx.codes.OK:
                _check(self.name, response.status_code, await self._read(response))
            async with aclosing(self._pieces(response, until)) as pieces:
                yield pieces

    async def _pieces(self, response: httpx.Response, until: float) -> AsyncGenerator[Piece, None]:
        """The first one until then, all others in the model's time."""
        lines = response.aiter_lines()
        said = await self._said(lines, until)
        until = time.monotonic() + self.config.seconds
        while said != DONE:
            yield self._piece(said)
            said = await self._said(lines, until)

    async def _said(self, lines: AsyncIterator[str], until: float) -> str:
        """What the next event says."""
        try:
            async with within(until - time.monotonic()):
                async for line in lines:
                    if line.startswith(DATA):
                        return line.removeprefix(DATA).strip()
        except (httpx.HTTPError, TimeoutError) as error:
            raise UnavailableError(f"{self.name}: {type(error).__name__}") from error
        raise UnavailableError(f"{self.name}: its stream has no end")

    def _piece(self, said: str) -> Piece:
        try:
            event = json.loads(said)
            usage = event.get("usage")
            price = None if usage is None else self._price(usage)
            firsts = [each for each in event.get("choices") or () if each.get("index", 0) == 0]
            text = "".join(str((each.get("delta") or {}).get("content") or "") for each in firsts)
        except (ValueError, TypeError, AttributeError) as error:
            raise UnavailableError(f"{self.name}: its stream is none of OpenAI's") from error
        if "error" in event:
            raise UnavailableError(f"{self.name}: it broke off")
        return Piece(event, text, price)

    def _price(self, usage: Mapping[str, Any]) -> float:
        return self.config.price(
            int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
        )

    async def _read(self, response: httpx.Response) -> bytes:
        try:
            async with within(self.config.seconds):
                return await response.aread()
        except (httpx.HTTPError, TimeoutError) as error:
            raise UnavailableError(f"{self.name}: {type(error).__name__}") from error

    async def _send(self, body: Mapping[str, Any], stream: bool) -> httpx.Response:
        """The whole response, or its beginning, in the model's time."""
        seconds = self.config.seconds
        request = self._client.build_request(
            "POST", self._url, json=body, headers=self._headers, timeout=seconds
        )
        try:
            # The client's own limit is of each piece, and pieces can be many.
            async with within(seconds):
                return await self._client.send(request, stream=stream)
        except (httpx.HTTPError, TimeoutError) as error:
            raise UnavailableError(f"{self.name}: {type(error).__name__}") from error


def _logprobs(content: Mapping[str, Any]) -> Sequence[float]:
    told = content["choices"][0].get("logprobs") or {}
    return [float(each["logprob"]) for each in told.get("content") or ()]


def _check(name: str, status: int, content: bytes) -> None:
    if status == httpx.codes.OK:
        return
    if status < 400 or status >= 500 or status in BUSY or status in (401, 402, 403, 404):
        # The last four, and another success or a redirect, are no mistake of the client's.
        raise UnavailableError(f"{name}: {status}")
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    raise RefusedError(status, body)
