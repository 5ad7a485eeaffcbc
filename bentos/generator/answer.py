"""Grows one answer token by token, the same way in every engine.

answer = Answer(renderer, decoding, tree=None, end_ids={2}, limit=256)
piece = answer.push([9906, 0])
"""

from collections.abc import Callable, Collection, Sequence

from bentos.generator.choices import ChoiceTree
from bentos.generator.decoding import Decoding
from bentos.generator.engine import Chunk, Completion, FinishReason, Scored
from bentos.generator.prompt import Renderer

REPLACEMENT = "\ufffd"
"""What half a character decodes to."""


class Detokenizer:
    """Text of tokens as they come: whole characters, and nothing at or after a stop text."""

    def __init__(self, decode: Callable[[Sequence[int]], str], stop: Sequence[str] = ()) -> None:
        self._decode = decode
        self._stop = tuple(stop)
        self._ids: list[int] = []
        self._window = self._read = 0  # what is decoded again with new tokens; what was given
        self._held = ""
        self.stopped = False

    def push(self, token: int) -> str:
        """The text that is certain now."""
        self._ids.append(token)
        piece = self._fresh()
        if piece.endswith(REPLACEMENT):
            return ""
        self._window, self._read = self._read, len(self._ids)
        return self._release(piece)

    def finish(self) -> str:
        """The rest: nothing comes after it."""
        piece = self._release(self._fresh())
        self._window = self._read = len(self._ids)
        if self.stopped:
            return piece
        held, self._held = self._held, ""
        return piece + held

    def _fresh(self) -> str:
        # Some decoders join a token to the one before it, so decode from one piece earlier.
        before = self._decode(self._ids[self._window : self._read])
        return self._decode(self._ids[self._window :])[len(before) :]

    def _release(self, piece: str) -> str:
        text = self._held + piece
        found = [at for at in (text.find(stop) for stop in self._stop) if at >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[: min(found)]
        keep = max((_overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


class Answer:
    """One answer under way.

    Attributes:
        text: what is certain of it.
        tokens: how many were computed.
        finish_reason: set when it is complete; further tokens are ignored.
    """

    def __init__(
        self,
        renderer: Renderer,
        decoding: Decoding,
        tree: ChoiceTree | None,
        end_ids: Collection[int],
        limit: int,
    ) -> None:
        """`limit` is the longest answer in tokens; a choice ends by itself."""
        self._detokenizer = Detokenizer(renderer.decode, decoding.stop)
        self._tree, self._end_ids, self._limit = tree, end_ids, limit
        self._taken: list[int] = []
        self._scored: list[Scored] = []
        self._told = 0  # how many of these a chunk has told
        self.text = ""
        self.finish_reason: FinishReason | None = None

    @property
    def tokens(self) -> int:
        """Tokens computed so far."""
        return len(self._taken)

    @property
    def taken(self) -> Sequence[int]:
        """Ids of those tokens."""
        return self._taken

    def push(self, ids: Sequence[int], logprobs: Sequence[float] = ()) -> str:
        """The text that these tokens, with or without log-probabilities, make certain."""
        piece = ""
        for position, token in enumerate(ids):
            if self.finish_reason is not None:
                break
            self._taken.append(token)
            if logprobs:
                self._scored.append(Scored(token, logprobs[position]))
            piece += self._choose() if self._tree else self._write(token)
        self.text += piece
        return piece

    def completion(self, prompt_tokens: int) -> Completion:
        """The whole answer, once it has a finish_reason."""
        reason = self.finish_reason or "length"
        return Completion(self.text, prompt_tokens, self.tokens, reason, tuple(self._scored))

    def chunk(self, piece: str) -> Chunk:
        """A streamed piece of it."""
        fresh, self._told = tuple(self._scored[self._told :]), len(self._scored)
        return Chunk(piece, self.finish_reason, self.tokens, fresh)

    def _choose(self) -> str:
        choice = self._tree.decided(self._taken) if self._tree else None
        if choice is None:
            return ""
        self.finish_reason = "stop"
        return choice

    def _write(self, token: int) -> str:
        if token in self._end_ids:
            self.finish_reason = "stop"
            return self._detokenizer.finish()
        piece = self._detokenizer.push(token)
        if not self._detokenizer.stopped and self.tokens >= self._limit:
            self.finish_reason = "length"
            piece += self._detokenizer.finish()
        if self._detokenizer.stopped:
            self.finish_reason = "stop"
        return piece


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that `stop` begins with."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
