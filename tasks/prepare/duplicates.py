"""Which requests say the same: exactly, or nearly.

    words(["The plot, the cast!"]) -> ["the", "plot", "the 2", "cast"]

Two requests are near-duplicates when the Jaccard similarity of their words reaches a threshold, and
so does that of what they are held under (system message and tools). The second "the" of a request
is another word than the first, so that one changed word among n always gives (n - 1) / (n + 1):
0.75 finds it from seven words on. Case, punctuation, spacing and the order of words and messages
play no part. Scripts without blanks are cut into characters. Among a thousand requests or more, a
word that nine in ten hold tells nothing: instructions repeated in every message would make all of
them alike.

Candidates come from MinHash (Broder 1997) with banding (Leskovec, Rajaraman and Ullman, Mining of
Massive Datasets, chapter 3), computed by rensa, and are verified by their exact similarity: no pair
is ever taken for near that is not, and one at the threshold is missed with a chance below 1e-5 (a
more similar one with less). An exact join by prefix filtering missed none, but compared all that
share a rare word and held all texts in memory, which a million rows do not allow. Here words stand
in a scratch file, and memory holds about 60 numbers of 4 bytes a row.
"""

import hashlib
import math
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import rensa
from numpy.typing import NDArray

from tasks.progress import Progress

Hashes = NDArray[np.uint64]
Keys = NDArray[np.uint32]
Positions = NDArray[np.int64]

MISSED = 1e-5
"""Chance that a pair right at the threshold is in no common band."""

_SEED = 7
_SIGNED = 20_000
_MANY = 1000
_IN_MOST = 0.9
_ROUNDING = 1e-9
_BLOCK = 1 << 18
_WORD = re.compile(
    # Thai, Lao, Tibetan, Burmese, Khmer, kana and ideographs are written without blanks.
    r"[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]"
    r"|[^\W_\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
    r"\U00020000-\U0003ffff]+"
)


class Banding(NamedTuple):
    """How a MinHash is cut into keys; two requests are candidates when they share one.

    Attributes:
        bands: keys of a request.
        rows: minima that make up a key.
    """

    bands: int
    rows: int


class Words(NamedTuple):
    """The words of some requests.

    Attributes:
        flat: hashes of the words, distinct and sorted in each request. (W,)
        sizes: words of each request. (N,)
    """

    flat: Hashes
    sizes: NDArray[np.int64]

    def sets(self) -> list[Hashes]:
        """The words of each request."""
        return np.split(self.flat, np.cumsum(self.sizes)[:-1]) if len(self.sizes) else []

    def without(self, common: Hashes) -> "Words":
        """These requests without some words."""
        stay = ~np.isin(self.flat, common)
        owner = np.repeat(np.arange(len(self.sizes)), self.sizes)[stay]
        return Words(self.flat[stay], np.bincount(owner, minlength=len(self.sizes)))


def banding(threshold: float) -> Banding:
    """Keys that few dissimilar requests share, and all but `MISSED` of those at the threshold."""
    if threshold >= 1:
        return Banding(1, 1)
    rows = min(8, max(2, round(math.log(0.2) / math.log(threshold))))
    return Banding(math.ceil(math.log(MISSED) / math.log1p(-(threshold**rows))), rows)


def words(texts: Iterable[str]) -> list[str]:
    """The words of a request, each with its count so far; of a request without any, its texts."""
    counts: Counter[str] = Counter()
    found = []
    for text in texts:
        for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
            counts[word] += 1
            found.append(word if counts[word] == 1 else f"{word} {counts[word]}")
    return found or sorted({" ".join(text.split()) for text in texts})


def similarity(left: frozenset[int], right: frozenset[int]) -> float:
    """Jaccard similarity, 0 to 1; two requests of no words at all are the same."""
    both = len(left & right)
    either = len(left) + len(right) - both
    return both / either if either else 1.0


def hashed(requests: Sequence[Sequence[str]]) -> Words:
    """The words of requests, as hashes."""
    sets = [
        np.unique(np.array(hashes, np.uint64))
        for hashes in rensa.RMinHash.hash_token_sets([words(texts) for texts in requests])
    ]
    sizes = np.array([len(found) for found in sets], np.int64)
    return Words(np.concatenate([np.empty(0, np.uint64), *sets]), sizes)


def signed(found: Words, cut: Banding) -> Keys:
    """Keys of the requests' MinHashes. (B, N)"""
    offsets = np.r_[0, np.cumsum(found.sizes)].astype(np.uint64)
    matrix = rensa.RMinHash.digest_matrix_from_flat_token_hashes(
        found.flat, offsets, cut.bands * cut.rows, _SEED
    )
    minima = np.array(matrix.to_rows(), np.uint64)
    minima = minima.reshape(len(found.sizes), cut.bands, cut.rows)
    keys = np.zeros((len(found.sizes), cut.bands), np.uint64)
    for row in range(cut.rows):
        keys = (keys ^ minima[:, :, row]) * np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(29)
    return np.ascontiguousarray((keys >> np.uint64(32)).astype(np.uint32).T)


class WordFile:
    """Words of many requests in a scratch file; keys and sizes in memory.

    Attributes:
        sizes: words of each request that tell something. (N,)
        whole: a hash of them. (N,)
        bands: keys of the requests' MinHashes. (B, N)
    """

    def __init__(self, file: Path, cut: Banding) -> None:
        self._stream: BinaryIO = file.open("w+b")
        self._cut = cut
        self._stored: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
        self.sizes = np.empty(0, np.int64)
        self.whole: Hashes = np.empty(0, np.uint64)
        self.bands: Keys = np.empty((cut.bands, 0), np.uint32)

    def append(self, part: Words) -> None:
        """Add requests at the end."""
        self._stream.write(part.flat.tobytes())
        self._stored.append(part.sizes)

    def finish(self) -> None:
        """Sign what was appended."""
        self._stream.flush()
        stored = np.concatenate(self._stored)
        self._ends = np.r_[0, np.cumsum(stored)]
        self._common = self._in_most(stored)
        self.sizes = np.empty(len(stored), np.int64)
        self.whole = np.empty(len(stored), np.uint64)
        self.bands = np.empty((self._cut.bands, len(stored)), np.uint32)
        progress = Progress("sign", len(stored))
        for start in range(0, len(stored), _SIGNED):
            part = self._read(stored, start).without(self._common)
            here = slice(start, start + len(part.sizes))
            self.sizes[here] = part.sizes
            self.whole[here] = [_hash(found.tobytes()) for found in part.sets()]
            self.bands[:, here] = signed(part, self._cut)
            progress.advance(len(part.sizes))
        self.words = lru_cache(1 << 14)(self._words)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _in_most(self, stored: NDArray[np.int64]) -> Hashes:
        """Words that nearly all requests hold."""
        count = len(stored)
        if count < _MANY:
            return np.empty(0, np.uint64)
        # Such a word is in more than half of any fair sample.
        sample = np.linspace(0, count - 1, _MANY).astype(np.int64)
        drawn = np.concatenate([self._slice(place, place + 1) for place in sample])
        candidates, seen = np.unique(drawn, return_counts=True)
        candidates = candidates[seen > _MANY / 2]
        held = np.zeros(len(candidates), np.int64)
        for start in range(0, count, _SIGNED):
            flat = self._read(stored, start).flat
            flat = flat[np.isin(flat, candidates)]
            held += np.bincount(np.searchsorted(candidates, flat), minlength=len(candidates))
        return candidates[held >= _IN_MOST * count]

    def _read(self, stored: NDArray[np.int64], start: int) -> Words:
        sizes = stored[start : start + _SIGNED]
        return Words(self._slice(start, start + len(sizes)), sizes)

    def _words(self, position: int) -> frozenset[int]:
        found = frozenset(self._slice(position, position + 1).tolist())
        return found.difference(self._common.tolist()) if len(self._common) else found

    def _slice(self, first: int, last: int) -> Hashes:
        """Words of the requests from `first` to before `last`."""
        start, end = int(self._ends[first]), int(self._ends[last])
        found = os.pread(self._stream.fileno(), 8 * (end - start), 8 * start)
        return np.frombuffer(found, np.uint64)


def clusters(
    found: WordFile,
    positions: Positions,
    apart: Positions,
    threshold: float,
    label: str = "duplicates",
) -> Positions:
    """The cluster of each of `positions`, called by the place of its first member. (P,)

    Args:
        found: the words of all requests.
        positions: the requests to compare. (P,)
        apart: requests that differ in this are never near. (P,)
        threshold: least similarity of a pair that must not be parted.
        label: what the progress is called.
    """
    leaders = _Leaders(len(positions))
    firsts = _same(found.whole[positions], apart, leaders)
    chosen = positions[firsts]
    bands = found.bands[:, chosen]
    sizes = found.sizes[chosen]
    progress = Progress(label, len(bands))
    for band in range(len(bands) if threshold < 1 else 0):
        keys = (apart[firsts].astype(np.uint64) << np.uint64(32)) | bands[band]
        for left, right in _pairs(keys, lambda: leaders.roots()[firsts]):
            for near in _blocks(left, right):
                near = near[:, _fits(sizes, near, threshold) & ~_seen(bands[:band], near)]
                for a, b in near[:, np.lexsort(near[::-1])].T.tolist():
                    if leaders.same(int(firsts[a]), int(firsts[b])):
                        continue
                    pair = found.words(int(chosen[a])), found.words(int(chosen[b]))
                    if similarity(*pair) >= threshold - _ROUNDING:
                        leaders.unite(int(firsts[a]), int(firsts[b]))
        progress.advance()
    return leaders.roots()


class _Leaders:
    """Disjoint sets of the numbers 0 to count - 1; a set is called by its least member."""

    def __init__(self, count: int) -> None:
        self._leader = np.arange(count, dtype=np.int64)

    def find(self, position: int) -> int:
        leader = self._leader
        while leader[position] != position:
            leader[position] = leader[leader[position]]
            position = int(leader[position])
        return position

    def same(self, left: int, right: int) -> bool:
        return self.find(left) == self.find(right)

    def unite(self, left: int, right: int) -> None:
        first, second = sorted((self.find(left), self.find(right)))
        self._leader[second] = first

    def unite_all(self, left: Positions, right: Positions) -> None:
        """Of numbers `right` that are yet alone."""
        self._leader[right] = left

    def roots(self) -> Positions:
        """The set of every number. (count,)"""
        while True:
            above = self._leader[self._leader]
            if np.array_equal(above, self._leader):
                return above.copy()
            self._leader = above


def _same(whole: Hashes, apart: Positions, leaders: _Leaders) -> Positions:
    """Unite requests of the very same words; returns the first of each set."""
    order = np.lexsort((np.arange(len(whole)), whole, apart))
    changes = np.ones(len(order), bool)
    changes[1:] = (np.diff(whole[order]) != 0) | (np.diff(apart[order]) != 0)
    firsts = order[changes]
    leaders.unite_all(firsts[np.cumsum(changes) - 1], order)
    return np.sort(firsts)


def _pairs(keys: Hashes, roots: Callable[[], Positions]) -> Iterator[tuple[Positions, Positions]]:
    """Every pair of places with the same key, by their distance in the order of keys.

    A key that many share would give their number squared. So whoever shares it is left out as soon
    as all of them are in one cluster.
    """
    order = np.argsort(keys, kind="stable")
    ranked = keys[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    bucket = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(ranked)]))
    active = np.arange(len(ranked))
    distance = 1
    while True:
        active = active[active + distance < len(ranked)]
        active = active[ranked[active] == ranked[active + distance]]
        if not active.size:
            return
        if distance & (distance - 1) == 0:
            within = roots()[order]
            low, high = (f.reduceat(within, starts) for f in (np.minimum, np.maximum))
            active = active[low[bucket[active]] != high[bucket[active]]]
        yield order[active], order[active + distance]
        distance += 1


def _blocks(left: Positions, right: Positions) -> Iterator[NDArray[np.int64]]:
    """Pairs, the smaller place first, in parts that fit into memory. (2, M)"""
    for start in range(0, len(left), _BLOCK):
        part = np.stack([left[start : start + _BLOCK], right[start : start + _BLOCK]])
        yield np.sort(part, axis=0)


def _fits(sizes: NDArray[np.int64], pairs: Positions, threshold: float) -> NDArray[np.bool_]:
    """Which pairs' numbers of words allow the threshold. (M,)"""
    counts = sizes[pairs]
    return np.asarray(counts.min(axis=0) >= threshold * counts.max(axis=0) - _ROUNDING)


def _seen(earlier: Keys, pairs: Positions) -> NDArray[np.bool_]:
    """Which pairs an earlier band has shown. (M,)"""
    return np.asarray((earlier[:, pairs[0]] == earlier[:, pairs[1]]).any(axis=0))


def _hash(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
