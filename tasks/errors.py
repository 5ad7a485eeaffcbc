"""Errors that a user can mend, each saying where, what and how.

workloads/sentiment.yaml: finetune.lora.rank = 0: must be at least 1; set a rank of 4 to 64
"""

from collections.abc import Sequence
from dataclasses import dataclass


class StillhouseError(Exception):
    """Root of every error that is the user's to mend; shown without a traceback."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong in one place.

    Attributes:
        file: the file to open.
        key: dotted key, column or row inside the file.
        value: what stands there now, as text.
        remedy: what is expected and what to do.
    """

    file: str
    key: str
    value: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key} = {self.value}: {self.remedy}"


class ConfigError(StillhouseError):
    """All problems of a configuration at once, raised before any work starts."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class DataError(StillhouseError):
    """The data cannot serve the task: empty, one class only, a column missing."""


class HashMismatchError(StillhouseError):
    """A fetched file is not the one that was pinned."""

    def __init__(self, source: str, expected: str, actual: str) -> None:
        super().__init__(
            f"{source}: expected sha256 {expected}, got {actual}. The source changed or the "
            "download was tampered with; if the change is intended, pin the new hash in the "
            "workload file."
        )


class FetchError(StillhouseError):
    """A source cannot be reached or does not hold what it should."""


class ModelError(StillhouseError):
    """A model cannot be used as asked: wrong tokenizer, shape or format."""
