"""Ask an engine many requests at once, as clients of the served model would.

    answers = answer_all(engine, folder, records, task, Traffic(16), progress_label="gate")

Evaluation and gate use the same engine, prompts and decoding as the Bento.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bentos.generator.engine import Completion, Engine
from bentos.generator.prompt import Renderer
from bentos.router.confidence import confidence as confidence_of
from tasks.config import Task
from tasks.examples import prompt_ids
from tasks.metrics.choose import Score, scorer
from tasks.progress import Progress
from tasks.records import Prediction, Record


class Traffic(NamedTuple):
    """How requests come.

    Attributes:
        concurrency: requests in flight, at most.
        per_second: arrivals at random moments, whatever is still in flight (a Poisson process);
            None: the next comes when one is answered.
    """

    concurrency: int
    per_second: float | None = None

    def due(self, count: int) -> list[float]:
        """Seconds from the start to each arrival, the same every time."""
        if self.per_second is None:
            return [0.0] * count
        gaps = np.random.default_rng(0).exponential(1 / self.per_second, count)
        return [float(at) for at in gaps.cumsum()]


class Answers(NamedTuple):
    """What came back, in the order of the records.

    Attributes:
        predictions: one a record.
        latencies: seconds from request to whole answer, one a record; of random arrivals, the
            wait for a place among those in flight included.
        prompt_tokens: read by the model, one a record.
        completion_tokens: computed for the answer, one a record.
        seconds: from the first request to the last answer.
    """

    predictions: list[Prediction]
    latencies: list[float]
    prompt_tokens: list[int]
    completion_tokens: list[int]
    seconds: float


def answer_all(
    engine: Engine,
    folder: Path,
    records: Sequence[Record],
    task: Task,
    traffic: Traffic,
    progress_label: str,
    confidence: bool = False,
) -> Answers:
    """Send all requests as the traffic has them, and wait for every answer.

    Args:
        engine: runs the model.
        folder: the model's folder, for its tokenizer.
        records: what to ask.
        task: how to draw answers, and what gives them their score.
        traffic: how requests come.
        progress_label: names the work in progress lines.
        confidence: whether to ask how sure the model is.
    """
    renderer = Renderer.from_folder(folder)
    decoding = task.decoding()
    if confidence:
        decoding = decoding.model_copy(update={"logprobs": True, "beams": 1})

    async def complete(record: Record) -> Completion:
        return await engine.complete(prompt_ids(record, renderer), decoding)

    return asyncio.run(ask(complete, records, task, traffic, progress_label))


async def ask(
    complete: Callable[[Record], Awaitable[Completion]],
    records: Sequence[Record],
    task: Task,
    traffic: Traffic,
    progress_label: str,
) -> Answers:
    """Call `complete` with every record as the traffic has it, and wait for every answer."""
    # Before any request: a metric of the user's own may not be there.
    score = scorer(task.primary_metric, task)
    progress = Progress(progress_label, len(records))
    free = asyncio.Semaphore(traffic.concurrency)
    started = time.perf_counter()

    async def one(record: Record, due: float) -> tuple[Completion, float]:
        if due:
            await asyncio.sleep(started + due - time.perf_counter())
        async with free:
            sent = started + due if due else time.perf_counter()
            completion = await complete(record)
            latency = time.perf_counter() - sent
        progress.advance()
        return completion, latency

    due = traffic.due(len(records))
    done = await asyncio.gather(*map(one, records, due))
    seconds = time.perf_counter() - started
    return Answers(
        [_judge(record, c, score) for record, (c, _) in zip(records, done, strict=True)],
        latencies=[latency for _, latency in done],
        prompt_tokens=[completion.prompt_tokens for completion, _ in done],
        completion_tokens=[completion.completion_tokens for completion, _ in done],
        seconds=seconds,
    )


def _judge(record: Record, completion: Completion, score: Score) -> Prediction:
    answer = completion.text.strip()
    logprobs = [each.logprob for each in completion.scored]
    return Prediction(
        id=record.id,
        reference=record.reference,
        answer=answer,
        score=score(answer, record.reference),
        metadata=record.metadata,
        confidence=confidence_of(logprobs) if logprobs else None,
    )
