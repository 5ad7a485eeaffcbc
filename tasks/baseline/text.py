"""What a request says, and baselines that answer with a part of it.

answer = lead(BaselineConfig(method="lead"), train)
answer(row)     the first words of the row's input
"""

import statistics
from collections.abc import Callable, Sequence

from tasks.baseline.config import BaselineConfig
from tasks.records import Record

Answer = Callable[[Record], str]


def text(row: Record) -> str:
    """All input fields, one a line; of a conversation all messages."""
    if not row.fields:
        return "\n".join(message["content"] for message in row.messages)
    return "\n".join(row.fields[field] for field in sorted(row.fields))


def copy(config: BaselineConfig, train: Sequence[Record]) -> Answer:
    """The whole input: what a translation is that changes nothing."""
    del config, train
    return text


def lead(config: BaselineConfig, train: Sequence[Record]) -> Answer:
    """The input's first words: a strong summary of texts that begin with what matters.

    As many as references have, for a longer or shorter answer scores less.
    """
    words = config.words or round(statistics.median(len(row.reference.split()) for row in train))
    return lambda row: " ".join(text(row).split()[:words])
