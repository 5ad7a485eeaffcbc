"""Responses of the OpenAI API, whole and in pieces.

    form = ChatForm("sentiment", renderer)
    form.whole([completion], 12)      # a chat.completion
    form.piece(chunk)                 # a chat.completion.chunk

Log-probabilities are told of the tokens of the answer alone: engines do not tell the runners-up.
"""

import random
import time
from collections.abc import Sequence
from typing import Protocol

from bentos.generator.engine import Chunk, Completion, FinishReason, Scored
from bentos.generator.prompt import Renderer

Json = dict[str, object]


class Form(Protocol):
    """How one endpoint answers."""

    def whole(self, completions: Sequence[Completion], prompt_tokens: int) -> Json:
        """The response to a request that is not streamed, a choice for each completion.

        A prompt that is answered several times counts once.
        """

    def opening(self) -> Json:
        """The first event of a stream."""

    def piece(self, chunk: Chunk) -> Json:
        """An event with a piece of the answer."""

    def usage(self, prompt_tokens: int, completion_tokens: int) -> Json:
        """The event that ends a stream whose client asked for it."""


class ChatForm:
    """Responses of /v1/chat/completions."""

    def __init__(self, model: str, renderer: Renderer, logprobs: bool = False) -> None:
        self._head, self._renderer, self._logprobs = _head("chatcmpl", model), renderer, logprobs

    def whole(self, completions: Sequence[Completion], prompt_tokens: int) -> Json:
        """See Form."""
        choices = [
            {
                "index": index,
                "message": {"role": "assistant", "content": one.text, "refusal": None},
                "logprobs": self._scores(one.scored),
                "finish_reason": one.finish_reason,
            }
            for index, one in enumerate(completions)
        ]
        usage = _usage(prompt_tokens, sum(one.completion_tokens for one in completions))
        return {**self._head, "object": "chat.completion", "choices": choices, "usage": usage}

    def opening(self) -> Json:
        """See Form."""
        return self._chunk({"role": "assistant", "content": ""}, None, None)

    def piece(self, chunk: Chunk) -> Json:
        """See Form."""
        delta: Json = {"content": chunk.text} if chunk.text else {}
        return self._chunk(delta, chunk.finish_reason, self._scores(chunk.scored))

    def usage(self, prompt_tokens: int, completion_tokens: int) -> Json:
        """See Form."""
        usage = _usage(prompt_tokens, completion_tokens)
        return {**self._head, "object": "chat.completion.chunk", "choices": [], "usage": usage}

    def _chunk(self, delta: Json, finish_reason: FinishReason | None, scores: Json | None) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": scores, "finish_reason": finish_reason}
        return {**self._head, "object": "chat.completion.chunk", "choices": [choice]}

    def _scores(self, scored: Sequence[Scored]) -> Json | None:
        if not self._logprobs:
            return None
        return {
            "content": [
                {
                    "token": (text := _text(self._renderer, one)),
                    "logprob": one.logprob,
                    "bytes": list(text.encode()),
                    "top_logprobs": [],
                }
                for one in scored
            ],
            "refusal": None,
        }


class TextForm:
    """Responses of /v1/completions."""

    def __init__(self, model: str, renderer: Renderer, logprobs: bool = False) -> None:
        self._head = {**_head("cmpl", model), "object": "text_completion"}
        self._renderer, self._logprobs = renderer, logprobs

    def whole(self, completions: Sequence[Completion], prompt_tokens: int) -> Json:
        """See Form."""
        choices = [
            self._choice(index, one.text, one.finish_reason, one.scored)
            for index, one in enumerate(completions)
        ]
        usage = _usage(prompt_tokens, sum(one.completion_tokens for one in completions))
        return {**self._head, "choices": choices, "usage": usage}

    def opening(self) -> Json:
        """See Form."""
        return {**self._head, "choices": [self._choice(0, "", None, ())]}

    def piece(self, chunk: Chunk) -> Json:
        """See Form."""
        choice = self._choice(0, chunk.text, chunk.finish_reason, chunk.scored)
        return {**self._head, "choices": [choice]}

    def usage(self, prompt_tokens: int, completion_tokens: int) -> Json:
        """See Form."""
        return {**self._head, "choices": [], "usage": _usage(prompt_tokens, completion_tokens)}

    def _choice(
        self, index: int, text: str, finish_reason: FinishReason | None, scored: Sequence[Scored]
    ) -> Json:
        scores = None
        if self._logprobs:
            scores = {
                "tokens": [_text(self._renderer, one) for one in scored],
                "token_logprobs": [one.logprob for one in scored],
                "top_logprobs": None,
                "text_offset": None,
            }
        return {"index": index, "text": text, "logprobs": scores, "finish_reason": finish_reason}


def _text(renderer: Renderer, one: Scored) -> str:
    return "" if one.token is None else renderer.decode([one.token])


def _head(prefix: str, model: str) -> Json:
    # Not the system's random numbers: while it draws them a step of the engine takes Python's lock.
    number = random.getrandbits(128)
    return {"id": f"{prefix}-{number:032x}", "created": int(time.time()), "model": model}


def _usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }
