"""A remote model's answers as training rows: `python -m tasks.ask large`.

data/answers/large/train.jsonl    records whose reference is the teacher's answer

Every answer is kept by the hash of what was asked: an interrupted collection, or one with another
filter, more rows or more samples, pays only for what is new.
"""

import asyncio
import json
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tasks import paths, records
from tasks.ask.choose import Choice, choose
from tasks.ask.config import AskConfig
from tasks.ask.purse import Purse
from tasks.config import Task
from tasks.errors import DataError, StillhouseError
from tasks.metrics.choose import scorer
from tasks.progress import Progress
from tasks.records import Record
from tasks.remote_config import RemoteConfig
from tasks.remote_model import Kept, RefusedError, RemoteModel, connected, request

FRAME = 64
"""Tokens that a provider's chat template may put around a message, at most."""


class Asked(NamedTuple):
    """The samples of one row; `lack` says why there are fewer than were to be drawn."""

    answers: list[Kept]
    lack: str | None


def ask(
    folder: Path, variant: str, config: AskConfig, remote: RemoteConfig, task: Task
) -> dict[str, Any]:
    """Ask the first training rows, labelled or not, and write those whose answer passes the filter.

    Returns:
        rows asked, kept and left out by reason, what was paid, and what the filter said.

    Raises:
        ConfigError: the variable with the key is not set.
        DataError: the model does not answer, or no answer is fit to be learned.
    """
    started = time.monotonic()
    rows = records.read(paths.TRAIN, Record)[: config.rows]
    if config.unlabelled:
        rows += records.read(paths.UNLABELLED, Record)[: config.unlabelled]
    score = scorer(task.primary_metric, task)
    asked = asyncio.run(_ask_all(variant, config, remote, rows, task))
    kept, choices, left_out = list[Record](), list[Choice](), Counter[str]()
    for row, (answers, lack) in zip(rows, asked, strict=True):
        usable = [text for answer in answers if (text := usable_text(answer, task)) is not None]
        if lack or not usable:
            left_out[lack or "no usable answer"] += 1
            continue
        choice = choose(usable, row.reference, config, score)
        if choice.score < config.min_score:
            left_out[f"{config.filter} below {config.min_score}"] += 1
            continue
        kept.append(row.model_copy(update={"reference": choice.answer}))
        choices.append(choice)
    if not kept:
        raise DataError(
            f"ask.{variant}: none of {len(rows)} rows has an answer to learn ({dict(left_out)}): "
            "look at the prompt, task.max_answer_tokens, the filter and max_cost"
        )
    records.write(folder / paths.TRAIN.name, kept)
    every = [answer for answers, _ in asked for answer in answers]
    return {
        "teacher": config.teacher,
        "model": remote.model,
        "filter": config.filter,
        "rows": len(rows),
        "kept": len(kept),
        "left_out": dict(left_out),
        "answers": len(every),
        "price": sum(_price(remote, answer) for answer in every),
        "mean_score": statistics.fmean(choice.score for choice in choices),
        "seconds": round(time.monotonic() - started, 1),
    }


def usable_text(answer: Kept, task: Task) -> str | None:
    """What a student may learn of an answer: a label, or any text that was not cut short."""
    text = answer.text.strip()
    if task.labels:
        return text if text in task.labels else None
    return text if text and answer.finish_reason == "stop" else None


async def _ask_all(
    variant: str, config: AskConfig, remote: RemoteConfig, rows: Sequence[Record], task: Task
) -> list[Asked]:
    progress = Progress(f"ask:{variant}", len(rows) * config.samples)
    free = asyncio.Semaphore(remote.concurrency)
    async with connected(remote, f"remote.{config.teacher}") as model:
        bodies = [_samples(config, remote, row, task) for row in rows]
        paid = (kept for row in bodies for body in row if (kept := model.kept(body)))
        purse = Purse(config.max_cost, sum(_price(remote, kept) for kept in paid))
        broken = list[StillhouseError]()

        async def one(body: dict[str, Any]) -> Kept | str:
            async with free:
                # What is under way when one fails is paid already: it is awaited and kept.
                if broken:
                    return "not asked"
                try:
                    answer = await _bought(model, body, remote, purse)
                except StillhouseError as error:
                    broken.append(error)
                    return "not asked"
            progress.advance(1, f"spent {purse.spent:.4g}")
            return answer

        async def row(samples: list[dict[str, Any]]) -> Asked:
            found = await asyncio.gather(*map(one, samples))
            lacks = [each for each in found if isinstance(each, str)]
            answers = [each for each in found if isinstance(each, Kept)]
            return Asked(answers, lacks[0] if lacks else None)

        asked = await asyncio.gather(*map(row, bodies))
        if broken:
            raise broken[0]
        return asked


async def _bought(
    model: RemoteModel, body: dict[str, Any], remote: RemoteConfig, purse: Purse
) -> Kept | str:
    """An answer, or why there is none."""
    kept = model.kept(body)
    if kept is not None:
        return kept
    most = _most(body, remote)
    if not await purse.reserve(most):
        return "over max_cost"
    price = 0.0
    try:
        answer = await model.answer(body)
        price = _price(remote, answer)
    except RefusedError:
        return "refused"
    finally:
        await purse.settle(most, price)
    return answer


def _samples(
    config: AskConfig, remote: RemoteConfig, row: Record, task: Task
) -> list[dict[str, Any]]:
    """Requests of one row. The seed tells samples apart, for the model and for what is kept."""
    body = request(remote, row, task)
    if config.samples == 1:
        return [body]
    return [
        body | {"temperature": config.temperature, "seed": seed} for seed in range(config.samples)
    ]


def _most(body: dict[str, Any], remote: RemoteConfig) -> float:
    """What a request costs at the dearest: no token is shorter than a byte."""
    told = len(json.dumps([body["messages"], body.get("tools")], ensure_ascii=False).encode())
    return remote.price(told + FRAME * len(body["messages"]), body["max_tokens"])


def _price(remote: RemoteConfig, answer: Kept) -> float:
    return remote.price(answer.prompt_tokens, answer.completion_tokens)
