"""What is known of every usable row, as columns of numbers; its record is a line of a scratch file.

Table(row=[17], id=[0x3f…], side=[2], tokens=[46], start=[0], size=[611], ...)
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Table(NamedTuple):
    """Columns of the same length (N,).

    Attributes:
        row: number in the source.
        id: hash of the request.
        group: hash of the group.
        answer: hash of the reference.
        label: place of the reference in task.labels; 0 where there are no labels.
        side: place of the split in split.NAMES.
        share: draws the rows that a limit keeps.
        tokens: length of the prompt.
        characters: length of the fields, or of the conversation.
        leaked: whether the request stands in a named benchmark.
        frame: number of its system message and tools.
        start: first byte of its record in the scratch file.
        size: bytes of its record.
    """

    row: NDArray[np.int64]
    id: NDArray[np.uint64]
    group: NDArray[np.uint64]
    answer: NDArray[np.uint64]
    label: NDArray[np.int32]
    side: NDArray[np.int8]
    share: NDArray[np.float64]
    tokens: NDArray[np.int32]
    characters: NDArray[np.int32]
    leaked: NDArray[np.bool_]
    frame: NDArray[np.uint64]
    start: NDArray[np.int64]
    size: NDArray[np.int32]

    @classmethod
    def of(cls, rows: Iterable[Sequence[object]]) -> "Table":
        """Rows of values in the order of the columns."""
        types = (
            *(np.int64, np.uint64, np.uint64, np.uint64, np.int32, np.int8, np.float64),
            *(np.int32, np.int32, np.bool_, np.uint64, np.int64, np.int32),
        )
        columns = list(zip(*rows, strict=True)) or [()] * len(types)
        return cls(*(np.array(c, t) for c, t in zip(columns, types, strict=True)))

    @classmethod
    def joined(cls, parts: Sequence["Table"]) -> "Table":
        """Parts one after the other."""
        return cls(*(np.concatenate(columns) for columns in zip(cls.of([]), *parts, strict=True)))


def lines(file: Path, table: Table, positions: NDArray[np.int64]) -> Iterator[bytes]:
    """The records at `positions`, in this order."""
    with file.open("rb") as stream:
        for position in positions.tolist():
            yield os.pread(stream.fileno(), int(table.size[position]), int(table.start[position]))
