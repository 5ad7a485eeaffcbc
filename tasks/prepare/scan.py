"""Raw rows read once, in parallel and in bounded memory.

    scan(Path("data/raw/records.jsonl"), config, task, folder) -> Scanned(table, words, ...)

The file is cut into parts of a megabyte. A process turns a part's rows into finished records and
numbers; records go to a scratch file, in the order of the source, and numbers into columns. So
memory grows by some 300 bytes a row, whatever a row holds, and the result does not depend on the
number of processes. (Arrow tables and `datasets` were not used for the scratch file: raw rows of
one column may differ in type, their caches would outlive the run with what it was to mask, and
records are read back one by one in order of their ids.)
"""

import hashlib
import json
import multiprocessing
import os
import threading
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from functools import cache
from multiprocessing.connection import wait
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bentos.generator.prompt import Renderer
from tasks import paths, records
from tasks.config import Task
from tasks.prepare import clean, duplicates
from tasks.prepare.clean import Item, Rejected
from tasks.prepare.config import Entity, Prepare
from tasks.prepare.contamination import Benchmarks
from tasks.prepare.duplicates import Positions, WordFile, Words
from tasks.prepare.pii import Finder
from tasks.prepare.reference import OutsideBinsError
from tasks.prepare.split import NAMES, share
from tasks.prepare.table import Table
from tasks.progress import Progress

PART_BYTES = 1 << 20
SMALL_BYTES = 16 << 20
"""Below this, starting processes takes longer than what they would do."""

_AHEAD = 2
LINES = "records.jsonl"


class Counts(NamedTuple):
    """Where rows went that are in no column.

    Attributes:
        read: rows of the source.
        outside: rows in no bin.
        rejected: rows that cannot be used.
        found: personal data by entity.
        held: rows that hold such data, by entity.
    """

    read: int
    outside: int
    rejected: list[Rejected]
    found: Counter[Entity]
    held: Counter[Entity]


class Part(NamedTuple):
    """What one process made of one part of the source.

    Attributes:
        lines: the records.
        table: numbers of the records; `start` counts from the part's own first byte.
        words: of the requests.
        frames: system message and tools by their hash.
    """

    lines: bytes
    table: Table
    words: Words
    frames: dict[int, Sequence[str]]
    counts: Counts


class Scanned(NamedTuple):
    """All that the source held.

    Attributes:
        lines: file of the records.
        frames: cluster of every record's system message and tools. (N,)
    """

    lines: Path
    table: Table
    words: WordFile
    frames: Positions
    counts: Counts


class _Made(NamedTuple):
    """One usable row."""

    item: Item
    line: bytes
    tokens: int


class Reader:
    """Turns the rows of a part into records; one in every process."""

    def __init__(self, config: Prepare, task: Task) -> None:
        self._config, self._task = config, task
        self._renderer = Renderer.from_folder(paths.candidate("fetch/base"))
        self._cut = duplicates.banding(config.near_duplicate_similarity)
        self._finder = Finder(config.pii)
        self._benchmarks = Benchmarks.read(config, self._cut, self._finder)
        self._finder.take()

    def read(self, source: Path, start: int, size: int) -> Part:
        """The rows of `size` bytes from `start` on."""
        with source.open("rb") as stream:
            stream.seek(start)
            raw = [json.loads(line) for line in stream.read(size).splitlines() if line.strip()]
        made: list[_Made] = []
        rejected: list[Rejected] = []
        outside = 0
        for row in raw:
            try:
                found = self._row(row)
            except OutsideBinsError:
                outside += 1
                continue
            if isinstance(found, Rejected):
                rejected.append(found)
            else:
                made.append(found)
        return self._part(made, Counts(len(raw), outside, rejected, *self._finder.take()))

    def _row(self, raw: dict[str, object]) -> _Made | Rejected:
        item = clean.item(raw, self._config, self._task, self._finder)
        if isinstance(item, Rejected):
            return item
        limit, longest = self._config.max_prompt_tokens, self._task.max_answer_tokens
        try:
            prompt = self._renderer.render(item.messages, item.tools)
        except ValueError:
            return Rejected(item.row, "the chat template refuses the messages")
        tokens = len(self._renderer.encode(prompt))
        if tokens > limit:
            return Rejected(item.row, f"prompt longer than {limit} tokens")
        if not self._task.labels and len(self._renderer.encode(item.reference)) >= longest:
            return Rejected(item.row, f"reference longer than task.max_answer_tokens = {longest}")
        record = records.Record(
            id=item.id,
            group=item.group,
            fields=dict(item.fields),
            messages=item.messages,
            tools=item.tools,
            prompt=prompt,
            reference=item.reference,
            metadata=dict(item.metadata),
        )
        return _Made(item, records.line(record).encode() + b"\n", tokens)

    def _part(self, made: Sequence[_Made], counts: Counts) -> Part:
        requests = [clean.texts(row.item) for row in made]
        words = duplicates.hashed(requests)
        leaked = np.zeros(len(made), bool)
        if self._benchmarks is not None:
            leaked = self._benchmarks.leaked(requests, words)
        frames = {_hash("\0".join(clean.frame(row.item))): clean.frame(row.item) for row in made}
        rows, start = [], 0
        for row, texts, leak in zip(made, requests, leaked.tolist(), strict=True):
            rows.append(self._numbers(row, texts, leak, start))
            start += len(row.line)
        return Part(b"".join(row.line for row in made), Table.of(rows), words, frames, counts)

    def _numbers(
        self, made: _Made, texts: Sequence[str], leaked: bool, start: int
    ) -> tuple[object, ...]:
        """In the order of the table's columns."""
        item, labels = made.item, self._task.labels
        label = labels.index(item.reference) if item.reference in labels else 0
        return (
            *(item.row, int(item.id, 16), _hash(item.group), _hash(item.reference)),
            *(label, NAMES.index(item.side)),
            *(share(item.id, self._config.split.salt), made.tokens, sum(map(len, texts)), leaked),
            *(_hash("\0".join(clean.frame(item))), start, len(made.line)),
        )


def scan(
    source: Path, config: Prepare, task: Task, folder: Path, processes: int | None = None
) -> Scanned:
    """Read all rows; scratch files go into `folder`.

    Args:
        source: JSON lines.
        config: the section `prepare`.
        task: the section `task`.
        folder: must outlive what is returned.
        processes: by default one for small data, else one a core.
    """
    cut = duplicates.banding(config.near_duplicate_similarity)
    words, frames = (WordFile(folder / name, cut) for name in ("words", "frames"))
    numbers: dict[int, int] = {}
    tables: list[Table] = []
    counts = Counts(0, 0, [], Counter(), Counter())
    written = 0
    size = source.stat().st_size
    count = processes or (1 if size < SMALL_BYTES else len(os.sched_getaffinity(0)))
    progress = Progress("clean", size)
    with (folder / LINES).open("wb") as lines:
        for part, done in _parts(source, config, task, count):
            lines.write(part.lines)
            new = [key for key in part.frames if key not in numbers]
            numbers |= {key: len(numbers) + place for place, key in enumerate(new)}
            frames.append(duplicates.hashed([part.frames[key] for key in new]))
            words.append(part.words)
            tables.append(part.table._replace(start=part.table.start + written))
            written += len(part.lines)
            counts = _added(counts, part.counts)
            progress.advance(done)
    words.finish()
    frames.finish()
    table = Table.joined(tables)
    return Scanned(folder / LINES, table, words, _frames(table, frames, numbers, config), counts)


def _frames(table: Table, frames: WordFile, numbers: dict[int, int], config: Prepare) -> Positions:
    """The cluster of every row's system message and tools. (N,)"""
    everyone = np.arange(len(numbers))
    similarity = config.near_duplicate_similarity
    found = duplicates.clusters(frames, everyone, np.zeros_like(everyone), similarity, "frames")
    frames.close()
    known = np.array(list(numbers), np.uint64)
    order = np.argsort(known)
    return found[order[np.searchsorted(known[order], table.frame)]]


def _parts(source: Path, config: Prepare, task: Task, processes: int) -> Iterator[tuple[Part, int]]:
    """The parts in the order of the source, with their sizes in bytes."""
    if processes == 1:
        reader = Reader(config, task)
        for start, size in _ranges(source):
            yield reader.read(source, start, size), size
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _start, (config, task)) as pool:
        waiting: deque[tuple[Future[Part], int]] = deque()
        for start, size in _ranges(source):
            waiting.append((pool.submit(_read, source, start, size), size))
            if len(waiting) > _AHEAD * processes:
                future, done = waiting.popleft()
                yield future.result(), done
        for future, done in waiting:
            yield future.result(), done


def _ranges(source: Path) -> Iterator[tuple[int, int]]:
    """First byte and size of parts that end with a line."""
    with source.open("rb") as stream:
        start = 0
        while True:
            stream.seek(start + PART_BYTES)
            stream.readline()
            end = min(stream.tell(), source.stat().st_size)
            if end <= start:
                return
            yield start, end - start
            start = end


_told: tuple[Prepare, Task]
"""What a process of the pool was started with."""


def _start(config: Prepare, task: Task) -> None:
    global _told
    _told = config, task
    _end_with_parent()


@cache
def _reader() -> Reader:
    # Not made in _start: an error there would only say that the pool is broken.
    return Reader(*_told)


def _read(source: Path, start: int, size: int) -> Part:
    return _reader().read(source, start, size)


def _end_with_parent() -> None:
    """A process must not outlive the stage, however that ends."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch(sentinel: int) -> None:
        wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, args=(parent.sentinel,), daemon=True).start()


def _added(left: Counts, right: Counts) -> Counts:
    return Counts(
        left.read + right.read,
        left.outside + right.outside,
        left.rejected + right.rejected,
        left.found + right.found,
        left.held + right.held,
    )


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
