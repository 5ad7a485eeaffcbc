"""A model behind an OpenAI-compatible API, paid by the token.

    answers = answer_all(RemoteConfig(...), rows, task, progress_label="remote:teacher")

Every answer is kept by the hash of what was asked, so that none is paid for twice.
"""

import asyncio
import hashlib
import json
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from openai import AsyncOpenAI, BadRequestError, OpenAIError, UnprocessableEntityError

from bentos.generator.engine import Completion
from tasks import paths, scoring
from tasks.config import Task
from tasks.errors import ConfigError, DataError, Problem
from tasks.records import Record, Row
from tasks.remote_config import RemoteConfig
from tasks.scoring import Answers, Traffic

RETRIES = 8
"""Of the official client, which waits longer each time and does what a 429 tells it."""

SECONDS = 300.0


class RefusedError(DataError):
    """The model takes no such request, and would not if it were asked again."""


class Kept(Row):
    """An answer that was paid for, with the seconds that it took."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    finish_reason: Literal["stop", "length"]
    seconds: float


def answer_all(
    config: RemoteConfig, records: Sequence[Record], task: Task, progress_label: str, key: str
) -> Answers:
    """Keep `concurrency` requests in flight until all are answered.

    `key` is the configuration's place in params.yaml, for errors.

    Raises:
        ConfigError: the variable with the key is not set.
        DataError: the model does not answer.
    """
    return asyncio.run(_answer_all(config, records, task, progress_label, key))


async def _answer_all(
    config: RemoteConfig, records: Sequence[Record], task: Task, label: str, key: str
) -> Answers:
    seconds = dict[str, float]()
    async with connected(config, key) as model:

        async def complete(record: Record) -> Completion:
            answer = await model.answer(request(config, record, task))
            seconds[record.id] = answer.seconds
            return Completion(
                answer.text, answer.prompt_tokens, answer.completion_tokens, answer.finish_reason
            )

        answers = await scoring.ask(complete, records, task, Traffic(config.concurrency), label)
    # What was kept took as long as it took when it was paid for.
    return answers._replace(latencies=[seconds[record.id] for record in records])


class RemoteModel:
    """Answers requests; what was asked before is not asked again."""

    def __init__(self, config: RemoteConfig, api: AsyncOpenAI, key: str) -> None:
        self._config, self._api, self._key = config, api, key
        self._next = 0.0

    def kept(self, asked: Mapping[str, object]) -> Kept | None:
        """The answer, where it was paid for already."""
        file = _file(self._config, asked)
        return Kept.model_validate_json(file.read_text(encoding="utf-8")) if file.exists() else None

    async def answer(self, asked: Mapping[str, Any]) -> Kept:
        """The answer; paid for if need be.

        Raises:
            RefusedError: the model takes no such request, and would not if asked again.
            DataError: the model does not answer.
        """
        kept = self.kept(asked)
        if kept is None:
            try:
                await self._turn()
                kept = await _paid(self._api, asked)
            except OpenAIError as error:
                told = f"{self._key} at {self._config.base_url}: {error}; retry the run, which "
                told += "asks only what has no answer yet"
                refused = isinstance(error, BadRequestError | UnprocessableEntityError)
                raise (RefusedError if refused else DataError)(told) from error
            _keep(_file(self._config, asked), kept)
        return kept

    async def _turn(self) -> None:
        """Wait until the next request may be sent."""
        if self._config.requests_per_minute is None:
            return
        now = time.monotonic()
        due = max(now, self._next)
        self._next = due + 60 / self._config.requests_per_minute
        await asyncio.sleep(due - now)


@asynccontextmanager
async def connected(config: RemoteConfig, key: str) -> AsyncIterator[RemoteModel]:
    """The model, as long as it is needed; `key` is its place in params.yaml, for errors.

    Raises:
        ConfigError: the variable with the key is not set.
    """
    async with AsyncOpenAI(
        base_url=config.base_url,
        api_key=_secret(config, key),
        max_retries=RETRIES,
        timeout=SECONDS,
    ) as api:
        yield RemoteModel(config, api, key)


def request(config: RemoteConfig, record: Record, task: Task) -> dict[str, Any]:
    """What is asked for one record: its likeliest answer."""
    longest = task.decoding().max_new_tokens
    asked: dict[str, Any] = {"model": config.model, "temperature": 0, "max_tokens": longest}
    asked["messages"] = record.messages
    return asked | ({"tools": record.tools} if record.tools else {})


async def _paid(api: AsyncOpenAI, asked: Mapping[str, Any]) -> Kept:
    sent = time.perf_counter()
    reply = await api.chat.completions.create(**asked)
    choice, usage = reply.choices[0], reply.usage
    if usage is None:
        raise OpenAIError("the answer tells no usage, so it has no price")
    return Kept(
        text=choice.message.content or "",
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        finish_reason="length" if choice.finish_reason == "length" else "stop",
        seconds=time.perf_counter() - sent,
    )


def _file(config: RemoteConfig, asked: Mapping[str, object]) -> Path:
    told = json.dumps([config.base_url, asked], sort_keys=True)
    return paths.scratch("remote") / f"{hashlib.sha256(told.encode()).hexdigest()}.json"


def _keep(file: Path, answer: Kept) -> None:
    """Whole or not at all: the process may be killed while it writes."""
    part = file.with_suffix(".part")
    part.write_text(answer.model_dump_json(), encoding="utf-8")
    part.replace(file)


def _secret(config: RemoteConfig, key: str) -> str:
    if config.api_key_env is None:
        return "none"
    secret = os.environ.get(config.api_key_env)
    if not secret:
        remedy = "the environment has no such variable: set it where the worker runs"
        raise ConfigError(
            [Problem(str(paths.PARAMS), f"{key}.api_key_env", config.api_key_env, remedy)]
        )
    return secret
