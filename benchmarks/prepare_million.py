"""Time and memory of preparing a million rows.

    .venv/bin/python -m benchmarks.prepare_million

Made-up requests of 5 to 30 words (a vocabulary of 30,000 whose frequencies follow Zipf's law), with
planted duplicates and personal data, are prepared by the stage as a release would run it, in a
folder of its own. Told are its wall time, the peak memory of all its processes together, and how
many planted duplicates survived. Writes benchmarks/results/prepare-million.json.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import yaml
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from benchmarks.release import RESULTS
from tasks import paths, records, stage
from tasks.errors import StillhouseError
from tasks.evaluation_report import hardware

RESULT = RESULTS / "prepare-million.json"
ROWS = 1_000_000
VOCABULARY = 30_000
LABELS = ("negative", "positive")
BLOCK = 10_000
SAMPLE_SECONDS = 0.2
SYLLABLES = (
    "ba",
    "de",
    "fi",
    "go",
    "hu",
    "ka",
    "le",
    "mi",
    "no",
    "pu",
    "ra",
    "se",
    "ti",
    "vo",
    "zu",
)
PERSONAL = ("mail me at j{0}@example.org", "call +1 415 555 {1:04}", "from 10.{2}.0.{3}")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}<|im_start|>assistant\n"
)
PARAMS = {
    "task": {
        "kind": "classification",
        "labels": list(LABELS),
        "input_fields": ["text"],
        "prompt": {"system": "Judge.", "user": "{text}"},
    },
    "prepare": {
        "fields": {"text": "text"},
        "reference": {"column": "label"},
        "pii": {"action": "mask"},
        "max_validation": None,
        "max_test": None,
    },
}


CLEAN = ("on 2024-03-{1:02}", "for ${0}.{1:02}", "order 80{0:03}{1:03}{2:03}", "v{0}.{1}.{2}")


def main(arguments: list[str]) -> None:
    """Measure, print and write; takes at most a number of rows."""
    if len(arguments) > 1 or not all(map(str.isdigit, arguments)):
        raise StillhouseError("usage: python -m benchmarks.prepare_million [ROWS]")
    rows = int(arguments[0]) if arguments else ROWS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        planted, kinds = write(folder, rows)
        seconds, memory = run(folder)
        report = json.loads((folder / paths.PREPARED / paths.REPORT).read_text())
        result = {
            "rows": rows,
            "megabytes": round((folder / paths.RAW / "records.jsonl").stat().st_size / 2**20, 1),
            "seconds": round(seconds, 1),
            "peak_memory_gib": round(memory / 2**30, 3),
            "planted_duplicates": dict(kinds),
            "planted_survivors": survivors(folder, planted),
            "report": report["rows"] | {"pii": report["pii"]},
            "hardware": hardware(),
        }
    if rows == ROWS:
        records.write_report(RESULT, result)
    print(json.dumps(result, indent=2))


def write(folder: Path, rows: int) -> tuple[dict[str, tuple[int, str]], Counter[str]]:
    """A checkout with raw rows; returns the number and kind of every planted text, and counts."""
    planted: dict[str, tuple[int, str]] = {}
    kinds: Counter[str] = Counter()
    (folder / paths.RAW).mkdir(parents=True)
    (folder / paths.PARAMS).write_text(yaml.safe_dump(PARAMS))
    with (folder / paths.RAW / "records.jsonl").open("w", encoding="utf-8") as stream:
        for number, (text, label) in enumerate(_texts(rows, planted, kinds), start=1):
            stream.write(json.dumps({"_row": number, "text": text, "label": label}) + "\n")
    base = folder / paths.candidate("fetch/base")
    base.mkdir(parents=True)
    (base / "chat_template.jinja").write_text(TEMPLATE)
    _tokenizer().save(str(base / "tokenizer.json"))
    return planted, kinds


def run(folder: Path) -> tuple[float, int]:
    """The stage's wall time in seconds, and the most memory of all its processes in bytes."""
    environment = os.environ | {
        "PYTHONPATH": str(Path.cwd()),
        "STILLHOUSE_STATE": str(folder / "state"),
    }
    command = [sys.executable, "-m", "tasks.prepare"]
    started = time.monotonic()
    peak = 0
    with psutil.Popen(command, cwd=folder, env=environment) as process:
        while process.poll() is None:
            peak = max(peak, _resident(process))
            time.sleep(SAMPLE_SECONDS)
        seconds = time.monotonic() - started
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
    return seconds, peak


def survivors(folder: Path, planted: dict[str, tuple[int, str]]) -> dict[str, int]:
    """How many planted duplicates stand beside another of their number, by kind."""
    kept: dict[int, list[str]] = {}
    for file in (paths.TRAIN, paths.VALIDATION, paths.LOCKED_TEST):
        with (folder / file).open(encoding="utf-8") as lines:
            for line in lines:
                found = planted.get(json.loads(line)["fields"]["text"])
                if found:
                    kept.setdefault(found[0], []).append(found[1] or "original")
    left = Counter(kind for kinds in kept.values() if len(kinds) > 1 for kind in kinds)
    return dict(left)


def _texts(
    rows: int, planted: dict[str, tuple[int, str]], kinds: Counter[str]
) -> Iterator[tuple[str, str]]:
    """Texts with labels.

    Of 100, 4 are like an earlier one, 1 holds personal data and about 10 other numbers.
    """
    generator = np.random.default_rng(0)
    chance = random.Random(0)  # noqa: S311
    words = _words(chance)
    weights = np.cumsum(1 / np.arange(1, VOCABULARY + 1))
    for start in range(0, rows, BLOCK):
        sizes = generator.integers(5, 31, BLOCK)
        draws = generator.random(int(sizes.sum())) * weights[-1]
        places = np.split(np.searchsorted(weights, draws), np.cumsum(sizes)[:-1])
        block = [[words[place] for place in part] for part in places[: rows - start]]
        originals = [n for n, part in enumerate(block[: len(block) // 2]) if len(part) >= 8]
        copies = chance.sample(range(len(block) // 2, len(block)), len(block) // 25)
        for copy, original in zip(copies, chance.sample(originals, len(copies)), strict=True):
            kind = chance.choice(tuple(COPIES))
            text = " ".join(block[original])
            kinds[kind] += 1
            block[copy] = COPIES[kind](list(block[original]), chance, words)
            planted[text] = (start + original, "")
            planted.setdefault(" ".join(" ".join(block[copy]).split()), (start + original, kind))
        numbered = chance.sample(range(len(block)), len(block) // 9)
        for place, number in enumerate(numbered):
            if " ".join(block[number]) not in planted:
                values = [chance.randrange(1, 250) for _ in range(4)]
                choices = CLEAN if place % 11 else PERSONAL
                block[number].append(chance.choice(choices).format(*values))
        # A copy has as many words as its original, so that both have one label.
        yield from ((" ".join(part), LABELS[len(part) % 2]) for part in block)


def _words(chance: random.Random) -> list[str]:
    made: dict[str, None] = {}
    while len(made) < VOCABULARY:
        made["".join(chance.choices(SYLLABLES, k=chance.choice((1, 2, 2, 3, 3, 4))))] = None
    return list(made)


def _changed(text: list[str], chance: random.Random, words: list[str]) -> list[str]:
    text[chance.randrange(len(text))] = chance.choice(words)
    return text


def _upper(text: list[str], chance: random.Random, words: list[str]) -> list[str]:
    return [word.upper() for word in text]


def _spaced(text: list[str], chance: random.Random, words: list[str]) -> list[str]:
    return [f" {word}" for word in text]


def _exact(text: list[str], chance: random.Random, words: list[str]) -> list[str]:
    return text


COPIES = {"exact": _exact, "case": _upper, "spaces": _spaced, "one word": _changed}
"""How a planted duplicate differs from its original."""


def _tokenizer() -> Tokenizer:
    """A byte-pair tokenizer of the usual kind, trained on a few of the texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=4000,
        show_progress=False,
        special_tokens=["<|im_start|>", "<|im_end|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator((text for text, _ in _texts(BLOCK, {}, Counter())), trainer)
    return tokenizer


def _resident(process: Any) -> int:
    """Memory of a process and its children, shared pages counted in each."""
    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            total += one.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return total


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
