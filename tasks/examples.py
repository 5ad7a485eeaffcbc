"""Records as token ids: what the model reads and what it should answer.

    Example(id="3f…", prompt=(1, 9690, …), answer=(16185, 2))

The answer ends with the model's end token, so that a model learns to stop.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from bentos.generator.prompt import Renderer
from tasks.errors import ModelError
from tasks.records import Record


class Example(NamedTuple):
    """One record, tokenized by the renderer that serving uses."""

    id: str
    prompt: tuple[int, ...]
    answer: tuple[int, ...]

    @property
    def tokens(self) -> int:
        """Length of prompt and answer together."""
        return len(self.prompt) + len(self.answer)


def tokenize(records: Iterable[Record], folder: Path) -> list[Example]:
    """Examples for the model in `folder`, rendered by its own chat template."""
    renderer = Renderer.from_folder(folder)
    end = end_token(folder)
    return [
        Example(r.id, tuple(prompt_ids(r, renderer)), (*renderer.encode(r.reference), end))
        for r in records
    ]


def prompt_ids(record: Record, renderer: Renderer) -> list[int]:
    """What a model reads of a record.

    From the messages, not from the record's prompt: that one is rendered for the base model, and
    a student may have been given a shorter chat template.
    """
    return renderer.encode(renderer.render(record.messages, record.tools))


def end_token(folder: Path) -> int:
    """The id that ends a model's answer.

    Raises:
        ModelError: config.json names none.
    """
    end = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("eos_token_id")
    if isinstance(end, list):
        end = end[0]
    if not isinstance(end, int):
        raise ModelError(f"{folder / 'config.json'}: eos_token_id = {end}: must be a token's id")
    return end


def by_length(examples: Sequence[Example], batch: int) -> list[list[Example]]:
    """Batches of like lengths, longest first: little padding, and memory trouble shows at once."""
    ordered = sorted(examples, key=lambda e: (-e.tokens, e.id))
    return [ordered[start : start + batch] for start in range(0, len(ordered), batch)]
