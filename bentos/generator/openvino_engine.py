"""OpenVINO GenAI with continuous batching: the engine for processors.

    engine = OpenVINOEngine(Path("models/quantize/small-int8"))
    await engine.complete(renderer.encode(prompt), Decoding(choices=("negative", "positive")))

One thread owns the pipeline: it adds requests, steps, and hands results to the event loops that
wait for them. A step computes at most MAX_BATCHED_TOKENS tokens of all requests together; GenAI
holds Python's lock meanwhile, so the loops are given LOOP_TURNS turns after each.
"""

import asyncio
import json
import logging
import random
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import openvino as ov
import openvino_genai as genai
from openvino_genai.py_openvino_genai import GenerationHandle

from bentos.generator import model_folder, openvino_tokens
from bentos.generator.answer import Answer
from bentos.generator.choices import ChoiceTree
from bentos.generator.decoding import Decoding
from bentos.generator.engine import Chunk, Completion, EngineError, EngineGoneError
from bentos.generator.job import Job
from bentos.generator.prompt import Renderer

FILES = (
    "openvino_model.xml",
    "openvino_model.bin",
    "openvino_tokenizer.xml",
    "openvino_tokenizer.bin",
    "openvino_detokenizer.xml",
    "openvino_detokenizer.bin",
    "config.json",
    "tokenizer.json",
    "chat_template.jinja",
)
PROPERTIES = "openvino_properties.json"
BLOCK_TOKENS = 32
CACHE_TOKENS = 32768
"""Key/value cache in tokens, or one full context if that is more; allocated as it fills."""
MAX_SEQUENCES = 64
MAX_BATCHED_TOKENS = 256
LOOP_TURNS = 8
"""Of an event loop between two steps: a server needs several to notice that a client left."""

TURN_SECONDS = 0.5
"""Within which a loop must pass, or the next step waits for it no longer."""
POLL_SECONDS = 0.005
"""How often it is asked whether the loop still runs: a waiting thread is not told."""

PIECES_PER_SECOND = 200.0
"""At most, of all streamed answers together: with many at once each is told less often, and more at
a time. While Python sends a piece no step computes."""

GONE = "the engine failed and could not be loaded again; come again in a minute"

_log = logging.getLogger(__name__)


def load_pipeline(
    folder: Path,
    tokenizer: genai.Tokenizer,
    cached: int = CACHE_TOKENS,
    prefix_caching: bool = False,
    **options: bool,
) -> genai.ContinuousBatchingPipeline:
    """The model in `folder`, scheduled as it is served, with a cache of so many tokens."""
    scheduler = genai.SchedulerConfig()
    scheduler.num_kv_blocks = -(-cached // BLOCK_TOKENS)
    scheduler.max_num_batched_tokens = MAX_BATCHED_TOKENS
    scheduler.max_num_seqs = MAX_SEQUENCES
    scheduler.dynamic_split_fuse = True
    scheduler.enable_prefix_caching = prefix_caching
    file = folder / PROPERTIES
    properties = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return genai.ContinuousBatchingPipeline(
        str(folder), tokenizer, scheduler, "CPU", **properties, **options
    )


@dataclass(eq=False)
class _Job(Job):
    """One request on its way through the engine's thread; without a handle it is over.

    Attributes:
        untold: text since the last piece that was told.
        next_piece: when another one may be, by time.monotonic.
    """

    handle: GenerationHandle | None = None
    untold: str = ""
    next_piece: float = 0.0


class OpenVINOEngine:
    """See bentos.generator.engine.Engine."""

    def __init__(self, folder: Path, prefix_caching: bool = False, schemas: bool = False) -> None:
        """Load the model.

        Prefix caching keeps the cache of past prompts: it pays where requests share a long
        beginning, and makes a benchmark that repeats its prompts meaningless. A grammar is over
        numbers of tokens, which choices need, or over their text, as schemas do.
        """
        model_folder.require(folder, FILES)
        self._folder, self._prefix_caching, self._schemas = folder, prefix_caching, schemas
        self._facts = model_folder.read_facts(folder)
        self._renderer = Renderer.from_folder(folder)
        self._tree = lru_cache(maxsize=64)(self._build_tree)
        self._pipeline = self._load()
        self._changed = threading.Condition()
        self._waiting: deque[_Job] = deque()
        self._running: list[_Job] = []
        self._closed = self._gone = False
        self._count = 0
        self._thread = threading.Thread(target=self._work, name="openvino-engine", daemon=True)
        self._thread.start()

    @property
    def context_length(self) -> int:
        """Most tokens of prompt and answer together."""
        return self._facts.context_length

    @property
    def requests_under_way(self) -> int:
        """How many requests hold cache right now."""
        return len(self._running)

    async def complete(self, prompt_ids: Sequence[int], decoding: Decoding) -> Completion:
        """The whole answer; see Engine.complete."""
        return await self._submit(prompt_ids, decoding, stream=False).completion()

    async def stream(
        self, prompt_ids: Sequence[int], decoding: Decoding
    ) -> AsyncGenerator[Chunk, None]:
        """The answer piece by piece; see Engine.stream."""
        async with aclosing(self._submit(prompt_ids, decoding, stream=True).chunks()) as chunks:
            async for chunk in chunks:
                yield chunk

    def close(self) -> None:
        """Fail what is under way, end the thread and free the model. Idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _submit(self, prompt_ids: Sequence[int], decoding: Decoding, stream: bool) -> _Job:
        if decoding.json_schema is not None and not self._schemas:
            raise ValueError("this service's answers are labels, which follow no JSON schema")
        if decoding.choices and self._schemas:
            raise ValueError("the engine was loaded to follow schemas, not choices")
        tree = self._tree(decoding.choices) if decoding.choices else None
        room = self._facts.check(prompt_ids, tree.depth if tree else 1)
        limit = min(decoding.max_new_tokens, room)
        answer = Answer(self._renderer, decoding, tree, self._facts.end_ids, limit)
        loop = asyncio.get_running_loop()
        job = _Job(prompt_ids, decoding, answer, stream, loop)
        with self._changed:
            if self._closed:
                raise EngineError("the engine is closed")
            if self._gone:
                raise EngineGoneError(GONE)
            self._waiting.append(job)
            self._changed.notify()
        return job

    def _build_tree(self, choices: tuple[str, ...]) -> ChoiceTree:
        return ChoiceTree(choices, self._renderer.encode, self._facts.end_ids[0])

    def _load(self) -> genai.ContinuousBatchingPipeline:
        cached = max(CACHE_TOKENS, self._facts.context_length)
        return load_pipeline(self._folder, self._tokenizer(), cached, self._prefix_caching)

    def _tokenizer(self) -> genai.Tokenizer:
        if self._schemas:
            return genai.Tokenizer(self._folder)
        return openvino_tokens.spelling_tokenizer(self._folder)

    def _work(self) -> None:
        while self._admit():
            if not (self._step() or self._recover()):
                return
        self._fail_all(EngineError("the engine was closed"))

    def _step(self) -> bool:
        """Compute some tokens of all requests together; whether that went well."""
        try:
            self._pipeline.step()
            for job in self._running:
                self._advance(job)
            self._give_way()
            self._running = [job for job in self._running if job.handle is not None]
        except Exception:
            _log.exception("a step of the engine failed; loading the model again")
            return False
        return True

    def _admit(self) -> bool:
        """Wait for work and add it; False when closed."""
        with self._changed:
            while not (self._closed or self._waiting or self._pipeline_busy()):
                self._changed.wait()
            if self._closed:
                return False
            arrived = list(self._waiting)
            self._waiting.clear()
        for job in arrived:
            self._add(job)
        return True

    def _pipeline_busy(self) -> bool:
        return bool(self._running) or self._pipeline.has_non_finished_requests()

    def _add(self, job: _Job) -> None:
        if job.abandoned:
            return
        self._count += 1
        ids = ov.Tensor(np.array([job.prompt], dtype=np.int64))
        try:
            job.handle = self._pipeline.add_request(self._count, ids, self._settings(job))
        except Exception as error:
            _log.warning("the engine refused a request: %s", error)
            job.tell(EngineError("the engine refused the request"))
        else:
            self._running.append(job)

    def _settings(self, job: _Job) -> genai.GenerationConfig:
        decoding, settings = job.decoding, genai.GenerationConfig()
        settings.apply_chat_template = False
        settings.set_eos_token_id(self._facts.end_ids[0])
        settings.stop_token_ids = set(self._facts.end_ids)
        settings.max_new_tokens = min(
            decoding.max_new_tokens, self._facts.context_length - len(job.prompt)
        )
        if decoding.temperature > 0:
            settings.do_sample = True
            settings.temperature, settings.top_p = decoding.temperature, decoding.top_p
            seed = decoding.seed
            settings.rng_seed = random.getrandbits(63) if seed is None else seed
        settings.num_beams = decoding.beams
        settings.logprobs = int(decoding.logprobs)
        if decoding.json_schema is not None:
            settings.structured_output_config = genai.StructuredOutputConfig(
                json_schema=decoding.json_schema
            )
        if decoding.choices:
            tree = self._tree(decoding.choices)
            settings.max_new_tokens = tree.depth
            settings.structured_output_config = genai.StructuredOutputConfig(
                grammar=openvino_tokens.grammar(tree.paths)
            )
        return settings

    def _advance(self, job: _Job) -> None:
        """Read what the last step computed for a job; without a handle it is over."""
        handle = job.handle
        if handle is None:
            return
        if job.abandoned:
            handle.cancel()
            job.handle = None
            return
        if handle.get_status() == genai.GenerationStatus.IGNORED:
            job.handle = None
            job.tell(EngineError("the key/value cache is too small for this request"))
            return
        while handle.can_read():
            for output in handle.read().values():
                scores = output.generated_log_probs if job.decoding.logprobs else ()
                job.untold += job.answer.push(output.generated_ids, scores)
        ended = handle.get_status() != genai.GenerationStatus.RUNNING
        if job.answer.finish_reason is not None:
            if not ended:
                handle.cancel()
            job.handle = None
            job.tell(job.answer.chunk(job.untold))
        elif ended:
            job.handle = None
            job.tell(EngineError("the engine ended the answer early"))
        elif job.stream and job.untold:
            self._tell_now_and_then(job)

    def _tell_now_and_then(self, job: _Job) -> None:
        """Tell the first piece at once, and those after it so often that there is time for all."""
        now = time.monotonic()
        if now >= job.next_piece:
            job.tell(job.answer.chunk(job.untold))
            job.untold, job.next_piece = "", now + len(self._running) / PIECES_PER_SECOND

    def _give_way(self) -> None:
        """Let the waiting loops see who came and who left, for which a step has no ear."""
        for loop in {job.loop for job in self._running}:
            for _ in range(LOOP_TURNS):
                passed = threading.Event()
                try:
                    loop.call_soon_threadsafe(passed.set)
                except RuntimeError:  # closed, which Job.tell finds out
                    break
                if not _happens(passed, loop):
                    break

    def _recover(self) -> bool:
        """A step failed: its requests fail, and a new pipeline, if any, serves those that come."""
        self._fail_all(EngineError("the engine failed; it is being loaded again"))
        del self._pipeline  # first of all: memory may not hold two
        try:
            self._pipeline = self._load()
        except Exception:
            _log.exception("the model could not be loaded again")
            self._gone = True
            self._fail_all(EngineGoneError(GONE))
            return False
        return True

    def _fail_all(self, error: EngineError) -> None:
        with self._changed:
            over = self._closed or self._gone
            jobs = self._running + list(self._waiting) * over
            self._running = []
            if over:
                self._waiting.clear()
        for job in jobs:
            job.handle = None
            job.tell(error)


def _happens(event: threading.Event, loop: asyncio.AbstractEventLoop) -> bool:
    """Whether the loop sets the event, in time and while it runs."""
    until = time.monotonic() + TURN_SECONDS
    while not event.wait(POLL_SECONDS):
        if not loop.is_running() or time.monotonic() > until:
            return False
    return True
