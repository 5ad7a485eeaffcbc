"""What all prompts begin with, read by the teacher once instead of once a row.

    shared = Beginning(model, examples)
    scores = answer_logits(model, pad(shared.cut(batch), fill), shared.cache(len(batch)))

Instructions, and all else that the chat template puts before the input, are often half of a prompt.
"""

import copy
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import torch
from transformers.cache_utils import DynamicCache

from tasks.examples import Example


class Beginning:
    """The longest common beginning of the prompts, with its keys and values."""

    def __init__(self, model: Any, examples: Sequence[Example]) -> None:
        """Run `model` over the beginning; a prompt's last token predicts, so it is never in it."""
        columns = zip(*(example.prompt[:-1] for example in examples), strict=False)
        ids = [column[0] for column in takewhile(lambda column: len(set(column)) == 1, columns)]
        self.tokens = len(ids)
        self._cache = DynamicCache()
        if ids:
            beginning = torch.tensor([ids], device=model.device)
            model.model(input_ids=beginning, past_key_values=self._cache, use_cache=True)

    def cut(self, examples: Sequence[Example]) -> list[Example]:
        """The examples without their beginning."""
        return [example._replace(prompt=example.prompt[self.tokens :]) for example in examples]

    def cache(self, rows: int) -> DynamicCache:
        """Keys and values for a batch of `rows` rows, the caller's own."""
        own = copy.deepcopy(self._cache)
        if self.tokens:
            own.batch_repeat_interleave(rows)
        return own
