"""Which texts say the same: exactly, or nearly.

    near(["a fine film", "a fine film!", "dull"], similarity=0.8) -> [(0, 1)]

Near means Jaccard similarity of the sets of 5-character pieces. The join is exact, not estimated:
two sets that are similar enough share one of their rarest pieces (prefix filtering, Chaudhuri,
Ganti and Kaushik 2006), so only such pairs are compared, and none is missed.
"""

import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from tasks.progress import Progress

PIECE = 5
_ROUNDING = 1e-9


def pieces(text: str) -> frozenset[str]:
    """The set of 5-character pieces of a text's letters and digits, case and spacing ignored."""
    kept = "".join(
        c if unicodedata.category(c)[0] in "LNM" else " "
        for c in unicodedata.normalize("NFKC", text).casefold()
    )
    plain = " ".join(kept.split()) or text
    return frozenset(plain[i : i + PIECE] for i in range(max(1, len(plain) - PIECE + 1)))


def similarity(left: frozenset[str], right: frozenset[str]) -> float:
    """Jaccard similarity, 0 to 1."""
    both = len(left & right)
    return both / (len(left) + len(right) - both)


def near(texts: Sequence[str], threshold: float) -> list[tuple[int, int]]:
    """Every pair of positions whose texts are at least `threshold` similar, smaller first."""
    sets = [pieces(text) for text in texts]
    spread = Counter(piece for pieces_of_text in sets for piece in pieces_of_text)
    rare_first = [sorted(s, key=lambda piece: (spread[piece], piece)) for s in sets]
    index: defaultdict[str, list[int]] = defaultdict(list)
    found = []
    progress = Progress("duplicates", len(texts))
    for here in sorted(range(len(sets)), key=lambda i: (len(sets[i]), i)):
        size = len(sets[here])
        prefix = rare_first[here][: size - math.ceil(threshold * size - _ROUNDING) + 1]
        smallest = threshold * size - _ROUNDING
        candidates = {other for piece in prefix for other in index[piece]}
        for other in candidates:
            if len(sets[other]) < smallest:
                continue
            if similarity(sets[here], sets[other]) >= threshold - _ROUNDING:
                found.append((min(here, other), max(here, other)))
        for piece in prefix:
            index[piece].append(here)
        progress.advance()
    return sorted(found)


def clusters(count: int, pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Positions 0 to count - 1 gathered so that no pair is parted; in order, singles too."""
    leader = list(range(count))

    def find(position: int) -> int:
        while leader[position] != position:
            leader[position] = leader[leader[position]]
            position = leader[position]
        return position

    for left, right in pairs:
        first, second = sorted((find(left), find(right)))
        leader[second] = first
    gathered: defaultdict[int, list[int]] = defaultdict(list)
    for position in range(count):
        gathered[find(position)].append(position)
    return list(gathered.values())
