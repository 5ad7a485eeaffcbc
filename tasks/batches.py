"""Examples as tensors: `pad(batch, fill)` or `pack(batch, fill, width)`, for our forward passes.

Right padding: a causal model's answer to a real token does not depend on what follows it.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from transformers.cache_utils import Cache

from tasks import precision
from tasks.examples import Example

# cuDNN's attention plans each width of a batch anew, which took half of a step on an H200. Not for
# the time of a call: what gradient checkpointing computes again must be computed alike.
torch.backends.cuda.enable_cudnn_sdp(False)


class Batch(NamedTuple):
    """Examples in rows: one a row where they were padded, several end to end where packed.

    Attributes:
        input_ids: prompts with their answers, (B, T).
        attention_mask: which example of its row a token belongs to, from 1; 0 is padding, (B, T).
        rows: row in the batch of each answer token, ascending, (A,).
        columns: position whose output predicts each answer token, (A,).
        answers: the answer tokens, (A,).
    """

    input_ids: Tensor
    attention_mask: Tensor
    rows: Tensor
    columns: Tensor
    answers: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The same, where the model is."""
        return Batch(*(tensor.to(device) for tensor in self))


def pad(examples: Sequence[Example], fill: int) -> Batch:
    """One example a row, padded at the right with the token `fill`."""
    return _laid([[example] for example in examples], fill)


def pack(examples: Sequence[Example], fill: int, width: int) -> Batch:
    """Examples end to end in rows of at most `width` tokens; a longer one has a row of its own.

    No example sees another: `answer_logits` gives each one the logits that it has alone.
    """
    rows: list[list[Example]] = []
    free: list[int] = []
    # Longest first, each into the first row that has room: at most 11/9 of the fewest rows there
    # are, and 6/9 (Dosa 2007, doi:10.1007/978-3-540-74450-4_1).
    for example in sorted(examples, key=lambda e: -e.tokens):
        place = next((n for n, room in enumerate(free) if example.tokens <= room), len(rows))
        if place == len(rows):
            rows.append([])
            free.append(max(width, example.tokens))
        rows[place].append(example)
        free[place] -= example.tokens
    return _laid(rows, fill)


def parts(batch: Batch, rows: int) -> Iterator[Batch]:
    """The batch in parts of `rows` rows, each no wider than it needs to be."""
    for start in range(0, len(batch.input_ids), rows):
        chosen = slice(start, start + rows)
        mask = batch.attention_mask[chosen]  # (b, T)
        width = int(mask.count_nonzero(-1).max())
        asked = (batch.rows >= start) & (batch.rows < start + rows)  # (A,)
        yield Batch(
            batch.input_ids[chosen, :width],
            mask[:, :width],
            batch.rows[asked] - start,
            batch.columns[asked],
            batch.answers[asked],
        )


def _laid(packed: Sequence[Sequence[Example]], fill: int) -> Batch:
    width = max(sum(example.tokens for example in row) for row in packed)
    ids = torch.full((len(packed), width), fill)  # (B, T)
    mask = torch.zeros_like(ids)
    rows: list[int] = []
    columns: list[int] = []
    answers: list[int] = []
    for row, examples in enumerate(packed):
        start = 0
        for number, example in enumerate(examples, start=1):
            end = start + example.tokens
            ids[row, start:end] = torch.tensor([*example.prompt, *example.answer])
            mask[row, start:end] = number
            first = start + len(example.prompt) - 1
            rows += [row] * len(example.answer)
            columns += range(first, first + len(example.answer))
            answers += example.answer
            start = end
    return Batch(ids, mask, torch.tensor(rows), torch.tensor(columns), torch.tensor(answers))


def answer_logits(model: Any, batch: Batch, past: Cache | None = None) -> Tensor:
    """Logits (A, V) for the answer tokens alone: the output matrix is most of a small model.

    `past` holds keys and values of what every row of the batch begins with, for B rows; the call
    adds to it. Padding is not masked: it is at the right, where no real token looks.
    """
    places: dict[str, Tensor] = {}
    if past is None and (batch.attention_mask > 1).any():
        # Where positions start again another example begins: transformers lets none see another.
        places = {"position_ids": _positions(batch.attention_mask)}
    hidden = model.model(
        input_ids=batch.input_ids, past_key_values=past, use_cache=past is not None, **places
    )
    chosen = hidden.last_hidden_state[batch.rows, batch.columns]  # (A, H)
    return exact_logits(model, chosen)


def _positions(owners: Tensor) -> Tensor:
    """Place of each token in its example, (B, T), of which example it belongs to, (B, T)."""
    places = torch.arange(owners.shape[1], device=owners.device).expand_as(owners)
    begins = functional.pad(owners.diff(dim=-1) != 0, (1, 0), value=True)
    starts: Tensor = (places * begins).cummax(-1).values
    return places - starts


def exact_logits(model: Any, hidden: Tensor) -> Tensor:
    """Logits (A, V) of the states (A, H), in float32 whatever made the states."""
    with precision.exact():
        logits: Tensor = model.lm_head(hidden.float())
    return logits
