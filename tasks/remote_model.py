"""A model behind an OpenAI-compatible API, paid by the token.

    answers = answer_all(RemoteConfig(...), rows, task, progress_label="remote:teacher")

Every answer is kept by the hash of what was asked, so that none is paid for twice.
"""

import asyncio
import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from openai import AsyncOpenAI, OpenAIError

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
    secret, seconds = _secret(config, key), dict[str, float]()
    async with AsyncOpenAI(
        base_url=config.base_url, api_key=secret, max_retries=RETRIES, timeout=SECONDS
    ) as api:

        async def complete(record: Record) -> Completion:
            asked = _request(config, record, task)
            kept = _kept(config, asked)
            if not kept.exists():
                try:
                    _keep(kept, await _paid(api, asked))
                except OpenAIError as error:
                    raise DataError(
                        f"{key} at {config.base_url}: {error}; retry the run, which asks only "
                        "what has no answer yet"
                    ) from error
            answer = Kept.model_validate_json(kept.read_text(encoding="utf-8"))
            seconds[record.id] = answer.seconds
            return Completion(
                answer.text, answer.prompt_tokens, answer.completion_tokens, answer.finish_reason
            )

        answers = await scoring.ask(complete, records, task, Traffic(config.concurrency), label)
    # What was kept took as long as it took when it was paid for.
    return answers._replace(latencies=[seconds[record.id] for record in records])


def _request(config: RemoteConfig, record: Record, task: Task) -> dict[str, Any]:
    longest = task.decoding().max_new_tokens
    asked: dict[str, Any] = {"model": config.model, "temperature": 0, "max_tokens": longest}
    asked["messages"] = record.messages
    return asked | ({"tools": record.tools} if record.tools else {})


async def _paid(api: AsyncOpenAI, asked: dict[str, Any]) -> Kept:
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


def _kept(config: RemoteConfig, asked: Mapping[str, object]) -> Path:
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
