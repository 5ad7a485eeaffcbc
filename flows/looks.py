"""How often a workload's locked test was looked at: every look is a tag in git.

look/sentiment/0f3a9c2d41b7e865    the commit of a run whose gate asked models the locked test

The tag's message holds a sketch of the test's items, so that a test which was merely extended, or
cut, is still known. Whoever adapts to what a test says and looks again learns its accidents: after
k looks the chance of a false pass is up to k times that of one (Bonferroni), so looks are limited.
"""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from flows.worktree import Worktree, alone, git, git_succeeds
from tasks import paths
from tasks.candidates_table import GateReport
from tasks.sketch import overlap

SAME_TEST = 0.5
"""Share of items from which two tests count as one."""


class Looks(NamedTuple):
    """How often one locked test was looked at, this time included, and how often it may be."""

    seen: int
    allowed: int

    @property
    def exhausted(self) -> bool:
        """Whether its verdicts can no longer be taken at their word."""
        return self.seen > self.allowed

    def __str__(self) -> str:
        """One sentence, with the remedy where one is needed."""
        told = f"The locked test was looked at {self.seen} times; {self.allowed} are allowed"
        if not self.exhausted:
            return told
        return (
            f"{told}, since every further one makes a false pass likelier: refresh it by adding "
            "data or by another prepare.split.salt"
        )


def record(house: Worktree, gate: GateReport) -> Looks | None:
    """Note the look of a run's gate, once however often it is told; None if it did not look."""
    if gate.test is None:
        return None
    prefix = f"look/{gate.workload}/"
    report = (house.root / paths.published("gate")).read_bytes()
    tag = prefix + hashlib.sha256(report).hexdigest()[:16]
    facts = {
        "run": house.name,
        "verdict": gate.verdict,
        "chosen": gate.chosen,
        "sha256": gate.test.sha256,
        "items": gate.test.n,
        "sketch": gate.test.sketch,
    }
    with alone(f"noting a look of {house.name}"):
        if not git_succeeds(house.checkout, "rev-parse", "--verify", f"refs/tags/{tag}"):
            message = json.dumps(facts, sort_keys=True)
            git(house.checkout, "tag", "--annotate", "--message", message, tag, house.head())
        return Looks(_count(house.checkout, prefix, gate.test.sketch), gate.max_looks)


def _count(checkout: Path, prefix: str, sketch: tuple[str, ...]) -> int:
    listing = ["for-each-ref", "--format=%(contents:subject)", f"refs/tags/{prefix}"]
    looks = [json.loads(line) for line in git(checkout, *listing).splitlines()]
    return sum(overlap(sketch, look["sketch"]) >= SAME_TEST for look in looks)
