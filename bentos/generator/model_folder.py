"""Facts that every engine reads from a model's folder: config.json and generation_config.json."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bentos.generator.engine import PromptTooLongError


@dataclass(frozen=True)
class ModelFacts:
    """Limits of a model.

    Attributes:
        vocabulary: how many token ids there are.
        context_length: most tokens of prompt and answer together.
        end_ids: tokens that end an answer, the first one in canonical use.
    """

    vocabulary: int
    context_length: int
    end_ids: tuple[int, ...]

    def check(self, prompt: Iterable[int], room: int = 1) -> int:
        """How many tokens an answer to this prompt may have, at least `room`.

        Raises:
            PromptTooLongError: fewer than `room`.
            ValueError: no tokens, or some that the model does not know.
        """
        ids = list(prompt)
        if not ids:
            raise ValueError("the prompt is empty")
        if min(ids) < 0 or max(ids) >= self.vocabulary:
            raise ValueError(f"the prompt holds token ids outside 0 to {self.vocabulary - 1}")
        if len(ids) + room > self.context_length:
            raise PromptTooLongError(len(ids), self.context_length)
        return self.context_length - len(ids)


def require(folder: Path, names: Iterable[str]) -> None:
    """Check that the folder holds these files.

    Raises:
        FileNotFoundError: naming all that are missing.
    """
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"model folder {folder} misses {', '.join(missing)}: it is not a complete model of "
            "this engine; build it again or point to another folder"
        )


def read_facts(folder: Path) -> ModelFacts:
    """The facts of the model in `folder`.

    Raises:
        FileNotFoundError: config.json is missing.
        ValueError: it names no vocabulary, context or end token.
    """
    require(folder, ["config.json"])
    config = _read(folder / "config.json")
    ends = _read(folder / "generation_config.json").get("eos_token_id")
    ends = config.get("eos_token_id") if ends is None else ends
    end_ids = [ends] if isinstance(ends, int) else ends
    vocabulary, context = config.get("vocab_size"), config.get("max_position_embeddings")
    if not isinstance(vocabulary, int) or not isinstance(context, int) or not end_ids:
        raise ValueError(
            f"{folder}/config.json must give vocab_size, max_position_embeddings, eos_token_id"
        )
    if not isinstance(end_ids, list):
        raise ValueError(f"{folder}: eos_token_id must be a number or a list of numbers")
    return ModelFacts(vocabulary, context, tuple(int(i) for i in end_ids))


def _read(file: Path) -> dict[str, object]:
    if not file.is_file():
        return {}
    content = json.loads(file.read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else {}
