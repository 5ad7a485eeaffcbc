"""Examples as padded tensors: `pad(batch, fill)` for every forward pass of ours.

Right padding: a causal model's answer to a real token does not depend on what follows it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from transformers.cache_utils import Cache

from tasks import precision
from tasks.examples import Example


class Batch(NamedTuple):
    """Padded examples.

    Attributes:
        input_ids: prompts with their answers, (B, T).
        attention_mask: 1 where a token is real, (B, T).
        rows: row in the batch of each answer token, (A,).
        columns: position whose output predicts each answer token, (A,).
        answers: the answer tokens, (A,).
    """

    input_ids: Tensor
    attention_mask: Tensor
    rows: Tensor
    columns: Tensor
    answers: Tensor


def pad(examples: Sequence[Example], fill: int) -> Batch:
    """Pad `examples` at the right with the token `fill`."""
    width = max(example.tokens for example in examples)
    ids = torch.full((len(examples), width), fill)  # (B, T)
    mask = torch.zeros_like(ids)
    rows: list[int] = []
    columns: list[int] = []
    answers: list[int] = []
    for row, example in enumerate(examples):
        ids[row, : example.tokens] = torch.tensor([*example.prompt, *example.answer])
        mask[row, : example.tokens] = 1
        first = len(example.prompt) - 1
        rows += [row] * len(example.answer)
        columns += range(first, first + len(example.answer))
        answers += example.answer
    return Batch(ids, mask, torch.tensor(rows), torch.tensor(columns), torch.tensor(answers))


def answer_logits(model: Any, batch: Batch, past: Cache | None = None) -> Tensor:
    """Logits (A, V) for the answer tokens alone: the output matrix is most of a small model.

    `past` holds keys and values of what every row of the batch begins with, for B rows; the call
    adds to it.
    """
    known = past.get_seq_length() if past is not None else 0
    hidden = model.model(
        input_ids=batch.input_ids,
        attention_mask=functional.pad(batch.attention_mask, (known, 0), value=1),
        past_key_values=past,
        use_cache=past is not None,
    )
    chosen = hidden.last_hidden_state[batch.rows, batch.columns]  # (A, H)
    return exact_logits(model, chosen)


def exact_logits(model: Any, hidden: Tensor) -> Tensor:
    """Logits (A, V) of the states (A, H), in float32 whatever made the states."""
    with precision.exact():
        logits: Tensor = model.lm_head(hidden.float())
    return logits
