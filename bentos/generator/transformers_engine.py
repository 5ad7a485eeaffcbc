"""transformers in float32: the reference that other engines are compared with.

    engine = TransformersEngine(Path("models/finetune/lora"))

Requests that wait at the same time are answered as one batch, padded on the left; new ones wait
until it is done. A streamed answer comes in one piece. Choices and their early end are exactly
those of the other engines.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    PreTrainedModel,
    StoppingCriteria,
    StoppingCriteriaList,
)

from bentos.generator import model_folder
from bentos.generator.answer import Answer
from bentos.generator.choices import ChoiceTree
from bentos.generator.decoding import Decoding
from bentos.generator.engine import Chunk, Completion, EngineError, Scored
from bentos.generator.prompt import Renderer

FILES = ("config.json", "tokenizer.json", "chat_template.jinja")
BATCH_SIZE = 16
"""Most requests answered together."""

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Job:
    prompt: Sequence[int]
    decoding: Decoding
    answer: Answer
    tree: ChoiceTree | None
    scored: tuple[Scored, ...] = ()
    done: Future[Completion] = field(default_factory=Future)

    def completion(self) -> Completion:
        return replace(self.answer.completion(len(self.prompt)), scored=self.scored)


class TransformersEngine:
    """See bentos.generator.engine.Engine."""

    def __init__(self, folder: Path, batch_size: int = BATCH_SIZE) -> None:
        """Load the model in float32, on a GPU when there is one."""
        model_folder.require(folder, FILES)
        self._facts = model_folder.read_facts(folder)
        self._renderer = Renderer.from_folder(folder)
        self._tree = lru_cache(maxsize=64)(self._build_tree)
        self._batch_size = batch_size
        self._model = _load(folder)
        self._changed = threading.Condition()
        self._waiting: deque[_Job] = deque()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="transformers-engine", daemon=True)
        self._thread.start()

    @property
    def context_length(self) -> int:
        """Most tokens of prompt and answer together."""
        return self._facts.context_length

    async def complete(self, prompt_ids: Sequence[int], decoding: Decoding) -> Completion:
        """The whole answer; see Engine.complete."""
        if decoding.json_schema is not None:
            raise ValueError("the engine transformers follows no JSON schema")
        tree = self._tree(decoding.choices) if decoding.choices else None
        room = self._facts.check(prompt_ids, tree.depth if tree else 1)
        limit = min(decoding.max_new_tokens, room)
        answer = Answer(self._renderer, decoding, tree, self._facts.end_ids, limit)
        job = _Job(prompt_ids, decoding, answer, tree)
        with self._changed:
            if self._closed:
                raise EngineError("the engine is closed")
            self._waiting.append(job)
            self._changed.notify()
        return await asyncio.wrap_future(job.done)

    async def stream(
        self, prompt_ids: Sequence[int], decoding: Decoding
    ) -> AsyncGenerator[Chunk, None]:
        """The whole answer as one chunk; see Engine.stream."""
        one = await self.complete(prompt_ids, decoding)
        yield Chunk(one.text, one.finish_reason, one.completion_tokens, one.scored)

    def close(self) -> None:
        """Fail what waits, end the thread and free the model. Idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _build_tree(self, choices: tuple[str, ...]) -> ChoiceTree:
        return ChoiceTree(choices, self._renderer.encode, self._facts.end_ids[0])

    def _work(self) -> None:
        while batch := self._next_batch():
            try:
                self._generate(batch)
            except Exception:
                _log.exception("a batch of the engine failed")
                for job in batch:
                    job.done.set_exception(EngineError("the engine failed at this request"))
                continue
            for job in batch:
                job.done.set_result(job.completion())
        for job in self._waiting:
            if job.done.set_running_or_notify_cancel():
                job.done.set_exception(EngineError("the engine was closed"))

    def _next_batch(self) -> list[_Job]:
        """Waiting jobs that can share one call, oldest first; none when closed."""
        with self._changed:
            while True:
                while not (self._closed or self._waiting):
                    self._changed.wait()
                if self._closed:
                    return []
                first, others = self._waiting[0], deque[_Job]()
                batch: list[_Job] = []
                while self._waiting:
                    job = self._waiting.popleft()
                    if len(batch) < self._batch_size and _alike(first, job):
                        if job.done.set_running_or_notify_cancel():
                            batch.append(job)
                    else:
                        others.append(job)
                self._waiting = others
                if batch:
                    return batch

    def _generate(self, batch: list[_Job]) -> None:
        end, decoding = self._facts.end_ids[0], batch[0].decoding
        width = max(len(job.prompt) for job in batch)
        rows = [[end] * (width - len(job.prompt)) + list(job.prompt) for job in batch]
        masks = [[0] * (width - len(job.prompt)) + [1] * len(job.prompt) for job in batch]
        device = self._model.device
        # Beams change places: what they hold is an answer only when the search is over.
        watched = StoppingCriteriaList([] if decoding.beams > 1 else [_AllAnswered(batch)])
        with torch.inference_mode():
            _seed(decoding)
            generated = self._model.generate(  # type: ignore[operator]
                input_ids=torch.tensor(rows, device=device),  # (B, T)
                attention_mask=torch.tensor(masks, device=device),  # (B, T)
                generation_config=self._settings(batch),
                stopping_criteria=watched,
                prefix_allowed_tokens_fn=_Allowed(batch, end) if batch[0].tree else None,
            )
        for row, job in enumerate(batch if decoding.beams > 1 else ()):
            job.answer.push(generated.sequences[row, width:].tolist())
        for row, job in enumerate(batch if decoding.logprobs else ()):
            steps = zip(job.answer.taken, generated.logits, strict=False)
            job.scored = tuple(
                Scored(token, float(logits[row].log_softmax(-1)[token])) for token, logits in steps
            )

    def _settings(self, batch: list[_Job]) -> GenerationConfig:
        decoding = batch[0].decoding
        longest = max(
            job.tree.depth if job.tree else min(job.decoding.max_new_tokens, self._room(job))
            for job in batch
        )
        sampling = (
            {"do_sample": True, "temperature": decoding.temperature, "top_p": decoding.top_p}
            if decoding.temperature > 0
            else {"do_sample": False}
        )
        return GenerationConfig(
            max_new_tokens=longest,
            eos_token_id=list(self._facts.end_ids),
            pad_token_id=self._facts.end_ids[0],
            top_k=0 if decoding.temperature > 0 else None,
            return_dict_in_generate=True,
            output_logits=decoding.logprobs,
            num_beams=decoding.beams,
            **sampling,
        )

    def _room(self, job: _Job) -> int:
        return self._facts.context_length - len(job.prompt)


class _AllAnswered(StoppingCriteria):
    """Feeds every answer its newest token and ends the rows whose answer is complete."""

    def __init__(self, batch: list[_Job]) -> None:
        self._batch = batch

    def __call__(
        self, input_ids: torch.Tensor, scores: torch.Tensor, **_unused: object
    ) -> torch.Tensor:
        for job, token in zip(self._batch, input_ids[:, -1].tolist(), strict=True):
            job.answer.push([token])
        done = [job.answer.finish_reason is not None for job in self._batch]
        return torch.tensor(done, device=input_ids.device)


class _Allowed:
    """The tokens on the way to a choice, for `prefix_allowed_tokens_fn`."""

    def __init__(self, batch: list[_Job], end: int) -> None:
        self._batch, self._end = batch, end

    def __call__(self, row: int, _ids: torch.Tensor) -> list[int]:
        job = self._batch[row]
        if job.tree is None or job.answer.finish_reason is not None:
            return [self._end]
        return job.tree.allowed(job.answer.taken)


def _alike(one: _Job, other: _Job) -> bool:
    """Whether two jobs can share one call of generate()."""
    a, b = one.decoding, other.decoding
    same = _shared(a) == _shared(b)
    seeded = a.temperature > 0 and a.seed is not None
    return one is other or (same and not seeded and bool(one.tree) == bool(other.tree))


def _shared(decoding: Decoding) -> tuple[object, ...]:
    longest = decoding.max_new_tokens if decoding.beams > 1 else None  # a search looks ahead
    drawn = decoding.temperature, decoding.top_p, decoding.seed
    return *drawn, decoding.logprobs, decoding.beams, longest


def _seed(decoding: Decoding) -> None:
    if decoding.temperature > 0 and decoding.seed is not None:
        torch.manual_seed(decoding.seed)


def _load(folder: Path) -> PreTrainedModel:
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, trust_remote_code=False, use_safetensors=True
    )
    loaded: PreTrainedModel = model.eval()
    if torch.cuda.is_available():
        torch.nn.Module.to(loaded, "cuda")
    return loaded
