"""Progress of long work: a bar on a terminal, plain lines elsewhere.

    progress finetune 40/120 loss 0.41

The release flow turns such lines into a Prefect progress artifact.
"""

import re
import sys
import time
from typing import NamedTuple

from tqdm import tqdm

LINE = re.compile(r"^progress (?P<label>\S+) (?P<done>\d+)/(?P<total>\d+) ?(?P<note>.*)$")
SECONDS_BETWEEN_LINES = 2.0


class Step(NamedTuple):
    """One parsed line."""

    label: str
    done: int
    total: int
    note: str


class Progress:
    """Counts work done out of `total`; `label` holds no blanks."""

    def __init__(self, label: str, total: int) -> None:
        self._label, self._total, self._done = label, total, 0
        self._printed = float("-inf")
        self._bar = tqdm(total=total, desc=label) if sys.stderr.isatty() else None

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Count `amount` more as done; the first, the last and one line every 2 s are shown."""
        self._done += amount
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(amount)
            if self._done >= self._total:
                self._bar.close()
            return
        now = time.monotonic()
        if self._done >= self._total or now - self._printed >= SECONDS_BETWEEN_LINES:
            self._printed = now
            print(f"progress {self._label} {self._done}/{self._total} {note}".rstrip(), flush=True)


def parse(line: str) -> Step | None:
    """The step that a line reports, or None when it is any other line."""
    match = LINE.match(line.strip())
    if match is None:
        return None
    return Step(match["label"], int(match["done"]), int(match["total"]), match["note"])
