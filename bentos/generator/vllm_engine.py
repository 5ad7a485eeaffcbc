"""vLLM: the engine for graphics cards, and for processors where its CPU build is installed.

    engine = VLLMEngine(Path("models/quantize/small-w8a8"))
    await engine.complete(renderer.encode(prompt), Decoding(choices=("negative", "positive")))

vLLM computes in a process of its own, and speaks to one event loop; that loop has a thread here, so
that any loop may ask. A choice is drawn token by token among those that lead to one, as everywhere
here: vLLM's own grammar of choices is over text, which other tokens may spell.
"""

import asyncio
import itertools
import logging
import threading
from collections.abc import AsyncGenerator, Coroutine, Sequence
from concurrent.futures import Future
from contextlib import aclosing
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from vllm import AsyncEngineArgs, SamplingParams
from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError

from bentos.generator import model_folder
from bentos.generator.answer import Answer
from bentos.generator.choices import ChoiceTree
from bentos.generator.decoding import Decoding
from bentos.generator.engine import Chunk, Completion, EngineError, EngineGoneError
from bentos.generator.job import Job
from bentos.generator.prompt import Renderer

FILES = ("config.json", "tokenizer.json", "chat_template.jinja", "model.safetensors")

Result = TypeVar("Result")
_log = logging.getLogger(__name__)


class VLLMEngine:
    """See bentos.generator.engine.Engine."""

    def __init__(self, folder: Path, prefix_caching: bool = False) -> None:
        """Load the model; takes vLLM's settings from its environment variables."""
        model_folder.require(folder, FILES)
        self._facts = model_folder.read_facts(folder)
        self._renderer = Renderer.from_folder(folder)
        self._tree = lru_cache(maxsize=64)(self._build_tree)
        self._numbers, self._closed = itertools.count(), False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="vllm-engine", daemon=True
        )
        self._thread.start()
        self._under_way: set[Job] = set()
        self._llm = self._do(_load(folder, self._facts.context_length, prefix_caching))

    @property
    def context_length(self) -> int:
        """Most tokens of prompt and answer together."""
        return self._facts.context_length

    @property
    def requests_under_way(self) -> int:
        """How many requests are being answered right now."""
        return len(self._under_way)

    async def complete(self, prompt_ids: Sequence[int], decoding: Decoding) -> Completion:
        """The whole answer; see Engine.complete."""
        job, answering = self._submit(prompt_ids, decoding, stream=False)
        try:
            return await job.completion()
        finally:
            answering.cancel()

    async def stream(
        self, prompt_ids: Sequence[int], decoding: Decoding
    ) -> AsyncGenerator[Chunk, None]:
        """The answer piece by piece; see Engine.stream."""
        job, answering = self._submit(prompt_ids, decoding, stream=True)
        try:
            async with aclosing(job.chunks()) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            answering.cancel()

    def close(self) -> None:
        """Fail what is under way, end vLLM's process and the thread. Idempotent."""
        if self._closed:
            return
        self._closed = True
        for job in tuple(self._under_way):
            job.tell(EngineError("the engine was closed"))
        self._llm.shutdown()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _submit(
        self, prompt_ids: Sequence[int], decoding: Decoding, stream: bool
    ) -> tuple[Job, Future[None]]:
        """A job, and what works at it; cancelling that frees what it holds."""
        if self._closed:
            raise EngineError("the engine is closed")
        if decoding.beams > 1:
            raise ValueError("the engine vllm has no beam search: set task.beams to 1")
        tree = self._tree(decoding.choices) if decoding.choices else None
        room = self._facts.check(prompt_ids, tree.depth if tree else 1)
        limit = min(decoding.max_new_tokens, room)
        answer = Answer(self._renderer, decoding, tree, self._facts.end_ids, limit)
        job = Job(prompt_ids, decoding, answer, stream, asyncio.get_running_loop())
        return job, asyncio.run_coroutine_threadsafe(self._work(job, tree, limit), self._loop)

    def _build_tree(self, choices: tuple[str, ...]) -> ChoiceTree:
        return ChoiceTree(choices, self._renderer.encode, self._facts.end_ids[0])

    def _do(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do something in the loop that vLLM speaks to."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _work(self, job: Job, tree: ChoiceTree | None, limit: int) -> None:
        self._under_way.add(job)
        try:
            if tree is None:
                await self._advance(job, job.prompt, _settings(job.decoding, max_tokens=limit))
            while tree is not None and job.answer.finish_reason is None:
                taken = job.answer.taken
                allowed = {"allowed_token_ids": tree.allowed(taken)}
                step = _settings(job.decoding, max_tokens=1, **allowed)
                await self._advance(job, [*job.prompt, *taken], step)
        except EngineDeadError:
            job.tell(EngineGoneError("vLLM's process has died; come again in a minute"))
        except Exception as error:
            _log.warning("the engine failed at a request: %s", error)
            job.tell(EngineError("the engine failed at this request"))
        finally:
            self._under_way.discard(job)

    async def _advance(self, job: Job, read: Sequence[int], settings: SamplingParams) -> None:
        """Compute tokens until the settings or the answer say that it is enough."""
        prompt = {"prompt_token_ids": list(read)}
        steps = self._llm.generate(prompt, settings, str(next(self._numbers)))
        async with aclosing(steps):
            async for step in steps:
                [output] = step.outputs
                piece = job.answer.push(output.token_ids, _scores(output))
                if job.answer.finish_reason is not None:
                    job.tell(job.answer.chunk(piece))
                    return
                if piece and job.stream:
                    job.tell(job.answer.chunk(piece))
        if settings.allowed_token_ids is None:
            raise EngineError("the engine ended the answer early")


async def _load(folder: Path, context: int, prefix_caching: bool) -> AsyncLLM:
    arguments = AsyncEngineArgs(
        model=str(folder),
        max_model_len=context,
        enable_prefix_caching=prefix_caching,
        load_format="safetensors",
        trust_remote_code=False,
        disable_log_stats=True,
    )
    return AsyncLLM.from_engine_args(arguments)


def _settings(decoding: Decoding, **more: Any) -> SamplingParams:
    schema = decoding.json_schema
    return SamplingParams(
        temperature=decoding.temperature,
        top_p=decoding.top_p if decoding.temperature > 0 else 1.0,
        seed=decoding.seed,
        logprobs=0 if decoding.logprobs else None,  # of the token that is drawn
        detokenize=False,
        output_kind=RequestOutputKind.DELTA,
        structured_outputs=None if schema is None else StructuredOutputsParams(json=schema),
        **more,
    )


def _scores(output: Any) -> list[float]:
    """Log-probabilities of a step's tokens; none where none were asked for."""
    told = output.logprobs or ()
    return (
        [one[token].logprob for token, one in zip(output.token_ids, told, strict=True)]
        if told
        else []
    )
