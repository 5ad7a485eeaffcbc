"""Versions of a workload's releases and which one is in use, as tags that GTO reads and writes.

sentiment@v0.0.2           the commit of a run that passed, with the Bento it packaged
sentiment#champion#1       that version is in use
sentiment#previous#1       this one was before it: what a rollback goes back to

Tags are never moved or removed, so they are the audit trail: who, when, which version, and why.
GTO runs as a process of its own, because it takes DVC's libraries with it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from flows.worktree import alone, identity
from tasks.errors import StillhouseError

Stage = Literal["champion", "previous"]
SECONDS = 60
BENTO = "Bento: "
"""Begins the line of a version's message that names what it packaged."""


Require = Callable[[str], object]
"""Raises where the Bento of a tag cannot be served."""


class RegistryError(StillhouseError):
    """The registry does not have what was asked for."""


class Event(NamedTuple):
    """One entry of the audit trail.

    Attributes:
        time: when, ISO 8601.
        stage: that the version was given; None where the version was registered.
        commit: of the run that passed.
        reason: what the version or the change was made for.
    """

    time: str
    version: str
    stage: str | None
    commit: str
    author: str
    reason: str

    @property
    def bento(self) -> str | None:
        """Tag of the Bento that a registered version packaged."""
        lines = [line for line in self.reason.splitlines() if line.startswith(BENTO)]
        return lines[-1].removeprefix(BENTO) if lines else None


class Registry:
    """The releases of one workload in one repository."""

    def __init__(self, checkout: Path, workload: str) -> None:
        """Read nothing yet: every method asks git anew, as others may work here too."""
        self._checkout, self._workload = checkout, workload

    def register(self, commit: str, bento: str, reason: str) -> str:
        """The version of a Bento: the one it has, or a new one at `commit`."""
        with alone(f"registering {bento}"):
            if bento not in self._bentos().values():
                self._gto("register", commit, "--message", f"{reason}\n\n{BENTO}{bento}")
            return next(version for version, tag in self._bentos().items() if tag == bento)

    def promote(self, version: str | None, reason: str, require: Require) -> str:
        """Put a version into use, the newest if None; returns it.

        Raises:
            RegistryError: no such version.
        """
        with alone(f"promoting {self._workload}"):
            trail = self.history()
            wanted = self._registered(trail, version)
            require(wanted.bento or "")
            self._replace(_holder(trail, "champion"), wanted.version, reason)
        return wanted.version

    def rollback(self, reason: str, require: Require) -> str:
        """Put the version that was in use before into use again; returns it.

        Raises:
            RegistryError: nothing was in use before.
        """
        with alone(f"rolling back {self._workload}"):
            trail = self.history()
            before, target = _holder(trail, "champion"), _holder(trail, "previous")
            if target is None:
                raise RegistryError(
                    f"{self._workload} has no version to go back to: nothing was in use before"
                )
            require(self._registered(trail, target).bento or "")
            self._replace(before, target, reason)
        return target

    def current(self, stage: Stage) -> str | None:
        """The version that has a stage."""
        return _holder(self.history(), stage)

    def champion_bento(self) -> str | None:
        """Tag of the Bento that is in use; None before the first promotion."""
        trail = self.history()
        champion = _holder(trail, "champion")
        return self._registered(trail, champion).bento if champion is not None else None

    def history(self) -> list[Event]:
        """The audit trail, oldest first."""
        told = json.loads(self._gto("history", "--ascending", "--json"))
        return [
            Event(
                time=entry["timestamp"],
                version=entry["version"],
                stage=entry["stage"],
                commit=entry["commit"],
                author=entry["author"],
                reason=entry["message"].strip(),
            )
            for entry in told
            if entry["event"] in {"registration", "assignment"}
        ]

    def _registered(self, trail: Sequence[Event], version: str | None) -> Event:
        known = [event for event in trail if event.stage is None]
        found = [event for event in known if version in {None, event.version}]
        if not found:
            has = ", ".join(event.version for event in known) or "none: no release has passed yet"
            raise RegistryError(f"{self._workload} has no version {version}; it has {has}")
        return found[-1]

    def _bentos(self) -> Mapping[str, str | None]:
        return {event.version: event.bento for event in self.history() if event.stage is None}

    def _replace(self, before: str | None, after: str, reason: str) -> None:
        """The way back first: should the machine stop in between, the champion is still in use."""
        if before == after:
            return
        if before is not None:
            self._assign(before, "previous", f"{after} takes its place: {reason}")
        self._assign(after, "champion", reason)

    def _assign(self, version: str, stage: Stage, reason: str) -> None:
        # A version that once had the stage may have it again; GTO asks for force then.
        told = ["--version", version, "--stage", stage, "--message", reason, "--force"]
        self._gto("assign", *told)

    def _gto(self, action: str, *arguments: str) -> str:
        program = str(Path(sys.executable).with_name("gto"))
        command = [program, action, self._workload, *arguments, "--repo", str(self._checkout)]
        done = subprocess.run(
            command,
            cwd=self._checkout,
            env={**os.environ, **identity(self._checkout)},
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip()
            raise RegistryError(f"gto {action} {self._workload}: {said}")
        return done.stdout


def _holder(trail: Sequence[Event], stage: Stage) -> str | None:
    held = [event.version for event in trail if event.stage == stage]
    return held[-1] if held else None
