"""Requests that stand in a benchmark's file, so that training on them would tell its answers.

    Benchmarks.read(["exam.jsonl"], config, finder).leaked(requests, words)

A request is leaked when it is a near-duplicate of a text of a benchmark (as of another request), or
when both hold the same 13 words in a row (Brown et al. 2020, appendix C).
"""

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.errors import ConfigError, DataError, Problem
from tasks.prepare import duplicates
from tasks.prepare.config import Prepare
from tasks.prepare.duplicates import Banding, Words
from tasks.prepare.pii import Finder
from tasks.prepare.text import normalize

RUN = 13
"""Words in a row that no two texts share by chance."""

FORMATS = (".jsonl", ".csv", ".txt")


class Benchmarks:
    """The texts that training must not hold."""

    def __init__(self, texts: Sequence[str], cut: Banding, threshold: float) -> None:
        found = duplicates.hashed([[text] for text in texts])
        self._cut = cut
        self._threshold = threshold
        self._keys = duplicates.signed(found, cut)
        self._bands = [np.unique(keys) for keys in self._keys]
        self._sets = _sets(found)
        self._runs = {run for text in texts for run in _runs([text])}

    @classmethod
    def read(cls, config: Prepare, cut: Banding, finder: Finder) -> "Benchmarks | None":
        """The benchmarks of a workload; None where it names none.

        Raises:
            DataError: a file that cannot be read or holds no text.
        """
        if not config.benchmarks:
            return None
        # Masked as the requests are, or what is masked there would hide the likeness.
        texts = [
            finder.mask(text)
            for name in config.benchmarks
            for text in _texts(Path(name), set(config.fields.values()))
        ]
        return cls(sorted(set(texts)), cut, config.near_duplicate_similarity)

    def leaked(self, requests: Sequence[Sequence[str]], words: Words) -> NDArray[np.bool_]:
        """Which requests stand in a benchmark. (N,)"""
        held = np.array([bool(self._runs.intersection(_runs(r))) for r in requests], bool)
        shared = np.zeros(len(requests), bool)
        bands = duplicates.signed(words, self._cut)
        for keys, known in zip(bands, self._bands, strict=True):
            shared |= np.isin(keys, known)
        sets = _sets(words)
        for place in np.flatnonzero(shared & ~held):
            held[place] = self._near(sets[place], bands[:, place])
        return held

    def _near(self, request: frozenset[int], keys: NDArray[np.uint32]) -> bool:
        candidates = np.flatnonzero((self._keys == keys[:, None]).any(axis=0))
        return any(
            duplicates.similarity(request, self._sets[c]) >= self._threshold for c in candidates
        )


def check(config: Prepare, where: str) -> None:
    """Refuse files that are not there or of an unknown format.

    Raises:
        ConfigError: all of them at once.
    """
    problems = []
    for number, name in enumerate(config.benchmarks):
        key = f"prepare.benchmarks.{number}"
        if Path(name).suffix not in FORMATS:
            problems.append(Problem(where, key, name, f"must end with {', '.join(FORMATS)}"))
        elif not Path(name).is_file():
            problems.append(Problem(where, key, name, "no such file; mend the path"))
    if problems:
        raise ConfigError(problems)


def sha256(config: Prepare) -> dict[str, str]:
    """The content that was compared with, by file name."""
    return {
        Path(name).name: hashlib.sha256(Path(name).read_bytes()).hexdigest()
        for name in config.benchmarks
    }


def _texts(file: Path, columns: set[str]) -> Iterator[str]:
    """The texts of a file: of rows the input columns, or every text where it has none of them."""
    found = False
    try:
        for row in _rows(file):
            chosen = columns & set(row) or set(row)
            for column in sorted(chosen):
                for text in _strings(row[column]):
                    if text := normalize(text):
                        found = True
                        yield text
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: not readable as UTF-8 {file.suffix}; mend the file") from error
    if not found:
        raise DataError(f"{file}: holds no text; mend it or take it out of prepare.benchmarks")


def _rows(file: Path) -> Iterator[dict[str, object]]:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        if file.suffix == ".csv":
            yield from csv.DictReader(stream)
            return
        for number, line in enumerate(stream, start=1):
            if file.suffix == ".txt":
                yield {"text": line}
            elif line.strip():
                yield _object(file, number, line)


def _object(file: Path, number: int, line: str) -> dict[str, object]:
    try:
        value = json.loads(line)
    except json.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise DataError(f"{file}: line {number} is no JSON object; mend the file")
    return value


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for entry in value.values():
            yield from _strings(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _strings(entry)


def _sets(words: Words) -> list[frozenset[int]]:
    return [frozenset(found.tolist()) for found in words.sets()]


def _runs(texts: Iterable[str]) -> Iterator[int]:
    for text in texts:
        found = [word.partition(" ")[0] for word in duplicates.words([text])]
        for start in range(len(found) - RUN + 1):
            yield hash(tuple(found[start : start + RUN]))
