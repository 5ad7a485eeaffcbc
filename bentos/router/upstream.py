"""Asks one model over HTTP.

upstream = Upstream("small-int8", config, client)
answer = await upstream.ask({"messages": [...]})
answer.body, answer.price, answer.confidence
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, NamedTuple

import httpx

from bentos.router.confidence import confidence
from bentos.router.deployment import UpstreamConfig
from bentos.web.timer import within

PATH: Final = "/chat/completions"
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


class UnavailableError(Exception):
    """The model does not answer now; another one may."""


class RefusedError(Exception):
    """The model takes no such request, and no other one would: the client's mistake."""

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
            usage = content.get("usage") or {}
            price = self.config.price(
                int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
            )
            sure = confidence(_logprobs(content)) if asks else None
        except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
            raise UnavailableError(f"{self.name}: its answer is none of OpenAI's") from error
        if asks and not body.get("logprobs"):
            for choice in content["choices"]:
                choice["logprobs"] = None
        return Answer(content, price, sure)

    @asynccontextmanager
    async def stream(self, body: Mapping[str, Any]) -> AsyncIterator[AsyncIterator[bytes]]:
        """The answer's events as they come.

        Raises:
            UnavailableError: none came, or not now.
            RefusedError: the request is wrong.
        """
        told = {**body, "model": self.config.model, "stream": True}
        try:
            async with aclosing(await self._send(told, stream=True)) as response:
                if response.status_code != httpx.codes.OK:
                    _check(self.name, response.status_code, await response.aread())
                yield response.aiter_bytes()
        except httpx.HTTPError as error:
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
    if status >= 500 or status in BUSY or status in (401, 403, 404):
        # The last three are the router's mistake, not the client's.
        raise UnavailableError(f"{name}: {status}")
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    raise RefusedError(status, body)
