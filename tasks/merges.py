"""Merges of a byte-level BPE, which a tokenizer.json may write in one of two ways.

["Ġ", "t"]    as the library `tokenizers` writes them since 0.20
"Ġ t"         as it wrote them before, and as GGUF has them
"""

from collections.abc import Iterable, Sequence


def pairs(merges: Iterable[str | Sequence[str]]) -> list[tuple[str, str]]:
    """Left and right part of every merge, however it is written."""
    found = []
    for merge in merges:
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        found.append((left, right))
    return found
