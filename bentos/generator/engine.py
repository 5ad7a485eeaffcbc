"""What runs a model: one protocol, one engine per file format.

engine = load_engine("openvino", Path("models/quantize/small-int8"))
completion = await engine.complete(renderer.encode(prompt), Decoding(max_new_tokens=16))
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, assert_never

from bentos.generator.decoding import Decoding

Kind = Literal["openvino", "vllm", "transformers"]
FinishReason = Literal["stop", "length"]


class Scored(NamedTuple):
    """A token of an answer and its log-probability among all tokens, unconstrained, untempered.

    The token is None where an answer came over HTTP, which tells its text.
    """

    token: int | None
    logprob: float


@dataclass(frozen=True)
class Completion:
    """A whole answer.

    Attributes:
        text: the answer without special tokens.
        prompt_tokens: length of what was read.
        completion_tokens: tokens computed for the answer; an answer out of a few choices is
            known before its last token.
        finish_reason: "length" when max_new_tokens or the context cut the answer off.
        scored: every token with its log-probability where the decoding asks for them.
    """

    text: str
    prompt_tokens: int
    completion_tokens: int
    finish_reason: FinishReason
    scored: tuple[Scored, ...] = ()


@dataclass(frozen=True)
class Chunk:
    """The next piece of a streamed answer: whole characters only.

    Attributes:
        text: may be empty in the last chunk.
        finish_reason: set in the last chunk and only there.
        completion_tokens: tokens computed so far.
        scored: tokens since the chunk before, as in Completion.
    """

    text: str
    finish_reason: FinishReason | None
    completion_tokens: int
    scored: tuple[Scored, ...] = ()


class EngineError(RuntimeError):
    """The engine could not finish this request; others are not concerned."""


class EngineGoneError(EngineError):
    """The engine cannot answer any more: its process must be started again."""


class PromptTooLongError(ValueError):
    """The prompt leaves no room for an answer in the model's context."""

    def __init__(self, tokens: int, context_length: int) -> None:
        super().__init__(
            f"the prompt has {tokens} tokens; the model's context of {context_length} tokens must "
            "hold the prompt and at least one token of the answer"
        )


class Engine(Protocol):
    """Runs one model for many requests at once. Safe to use from one event loop."""

    @property
    def context_length(self) -> int:
        """Most tokens of prompt and answer together."""

    async def complete(self, prompt_ids: Sequence[int], decoding: Decoding) -> Completion:
        """The answer to one prompt; cancelling the call frees what it holds.

        Raises:
            PromptTooLongError: no room for an answer.
            ValueError: the prompt is empty or holds ids outside the vocabulary, or the decoding's
                schema cannot be followed here.
            EngineError: the engine failed at this request.
        """

    def stream(self, prompt_ids: Sequence[int], decoding: Decoding) -> AsyncGenerator[Chunk, None]:
        """The answer piece by piece; raises as `complete` does. Closing it frees what it holds."""

    def close(self) -> None:
        """Stop working and free the model; requests under way fail with EngineError."""


def load_engine(
    kind: Kind, folder: Path, prefix_caching: bool = False, schemas: bool = False
) -> Engine:
    """The engine `kind` with the model in `folder`, ready to answer.

    Only the chosen engine's libraries are imported. Prefix caching (not in transformers) keeps past
    prompts' caches: leave it off to measure, or repeated prompts cost nothing. With `schemas`
    openvino's answers can follow JSON schemas, and then not be held to choices.

    Raises:
        FileNotFoundError: the folder misses files of a model in this engine's format.
    """
    match kind:
        case "openvino":
            from bentos.generator.openvino_engine import OpenVINOEngine

            return OpenVINOEngine(folder, prefix_caching, schemas)
        case "vllm":
            from bentos.generator.vllm_engine import VLLMEngine

            return VLLMEngine(folder, prefix_caching)
        case "transformers":
            from bentos.generator.transformers_engine import TransformersEngine

            return TransformersEngine(folder)
        case _:
            assert_never(kind)
