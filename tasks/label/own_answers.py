"""Requests that nobody answered, answered by the teacher itself.

    answered(models/finetune/lora, rows, task)   records whose reference is the teacher's answer

By the engine, prompts and decoding with which it is evaluated. An answer that was cut short is not
learned.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from bentos.generator.engine import Completion, load_engine
from bentos.generator.prompt import Renderer
from tasks.config import Task
from tasks.examples import prompt_ids
from tasks.progress import Progress
from tasks.records import Record


def answered(folder: Path, rows: Sequence[Record], task: Task, concurrency: int) -> list[Record]:
    """The rows, in their order, that the model in `folder` answers to the end."""
    renderer, decoding = Renderer.from_folder(folder), task.decoding()
    progress = Progress("label:answers", len(rows))
    engine = load_engine("transformers", folder)
    free = asyncio.Semaphore(concurrency)

    async def one(row: Record) -> Completion:
        async with free:
            found = await engine.complete(prompt_ids(row, renderer), decoding)
        progress.advance()
        return found

    async def everyone() -> list[Completion]:
        return await asyncio.gather(*map(one, rows))

    try:
        completions = asyncio.run(everyone())
    finally:
        engine.close()
    return [
        row.model_copy(update={"reference": told.text.strip()})
        for row, told in zip(rows, completions, strict=True)
        if told.finish_reason == "stop" and told.text.strip()
    ]
