"""One DVC stage of a run, computed at most once whatever is killed meanwhile.

    reproduce(Job(target="finetune@lora", run="sentiment-quick-3", ...), on_line=print)

DVC decides whether there is anything to do: a result that any run on this machine or on the
remote has already measured is taken from the cache.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from flows import guard
from flows.lock import exclusive, record
from flows.redact import Redactor
from tasks import paths
from tasks.errors import StillhouseError
from tasks.stage import USER_ERROR

SECONDS_BETWEEN_READS = 0.2
PUSH_SECONDS = 3600.0
KEPT_LINES = 40
EXIT_CODE = re.compile(r"exited with (-?\d+)")
NO_SPACE = "No space left on device"
RAN = re.compile(r"^Running stage ")


class StageUserError(StillhouseError):
    """A stage says that the user must mend something: trying again would not help."""


class DiskFullError(StageUserError):
    """Nothing more can be kept, whatever the stage."""


class StageCrashedError(Exception):
    """A stage, or DVC itself, ended unexpectedly; trying again may help."""


class TimeLimitError(StillhouseError):
    """A stage was ended because its time was over."""


@dataclass(frozen=True)
class Job:
    """What to compute.

    Attributes:
        target: DVC's name of the stage, for example finetune@lora.
        run: the run's name, shown to those who wait for the machine.
        root: the run's worktree.
        log: file that takes the output; later attempts append.
        limit: seconds that the whole process tree may take.
    """

    target: str
    run: str
    root: Path
    log: Path
    limit: float


def reproduce(job: Job, on_line: Callable[[str], None]) -> bool:
    """Bring one stage up to date; True when its command ran, False when DVC had its result.

    Calls `on_line` with every line of output, secrets blanked.

    Raises:
        StageUserError: the stage's command said what the user must mend.
        TimeLimitError: the time limit was over.
        StageCrashedError: anything else that ended it.
    """
    lines = _Recent(on_line)
    with machine(f"{job.run} {job.target}", on_line) as descriptor:
        repro = ["repro", "--single-item", "--pull", job.target]
        code = _dvc(repro, job, job.limit, descriptor, lines)
        if code != 0:
            raise _failure(job, code, lines.recent)
        if lines.ran:
            _push([job.target], job, descriptor, lines)
    return lines.ran


def push(job: Job, on_line: Callable[[str], None]) -> None:
    """Send every result of a run, and what DVC needs to find it again, to the remote."""
    with machine(f"{job.run} push", on_line) as descriptor:
        _push([], job, descriptor, _Recent(on_line))


def machine(holder: str, on_line: Callable[[str], None]) -> AbstractContextManager[int]:
    """The machine for oneself: measurements are not disturbed and nothing is computed twice."""

    def waiting(present: str) -> None:
        on_line(f"waiting until the machine is free: {present} is at work")

    return exclusive(compute_lock(), holder, waiting)


def compute_lock() -> Path:
    """The file whose lock stands for the machine."""
    return paths.state() / "locks" / "compute"


def environment(root: Path) -> dict[str, str]:
    """What a stage sees: this interpreter first, the worktree's code, no telemetry."""
    removed = {"PYTHONPATH", "PYTHONSAFEPATH", "PYTHONHOME"}
    kept = {key: value for key, value in os.environ.items() if key not in removed}
    return {
        **kept,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PWD": str(root),
        "STILLHOUSE_STATE": str(paths.state()),
        "DVC_NO_ANALYTICS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "BENTOML_DO_NOT_TRACK": "True",
        "PYTHONUNBUFFERED": "1",
        "NO_COLOR": "1",
        "COLUMNS": "120",
        # Bars of libraries; ours print lines when nobody watches a terminal.
        "TQDM_DISABLE": "1",
    }


def dvc(
    arguments: Sequence[str],
    job: Job,
    limit: float,
    descriptor: int,
    on_line: Callable[[str], None],
) -> int:
    """Run DVC under a guard and hand on its output; returns the guard's exit code.

    `descriptor` is the machine's lock, which the guard holds as long as it runs.
    """
    return _dvc(arguments, job, limit, descriptor, _Recent(on_line))


def _push(targets: Sequence[str], job: Job, descriptor: int, lines: "_Recent") -> None:
    code = _dvc(["push", "--run-cache", *targets], job, PUSH_SECONDS, descriptor, lines)
    if code != 0:
        raise StageCrashedError(f"dvc push ended with {code}; its output is in {job.log}")


def _dvc(
    arguments: Sequence[str], job: Job, limit: float, descriptor: int, lines: "_Recent"
) -> int:
    command = [sys.executable, "-P", guard.__file__, "--limit", str(limit), "--"]
    command += [sys.executable, "-P", "-m", "dvc", "--wait-for-lock", *arguments]
    job.log.parent.mkdir(parents=True, exist_ok=True)
    # A file, not a pipe: output must have somewhere to go when the flow is killed.
    with open(job.log, "ab", opener=_private) as sink, job.log.open("rb") as source:
        source.seek(0, os.SEEK_END)
        process = subprocess.Popen(
            command,
            cwd=job.root,
            env=environment(job.root),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            pass_fds=(descriptor,),
            # Ctrl-C on the terminal is for the flow to answer, by telling the guard.
            start_new_session=True,
        )
        record(descriptor, f"{job.run} {job.target}", process.pid)
        try:
            return _follow(process, source, lines)
        finally:
            _end(process)


def _follow(process: subprocess.Popen[bytes], source: IO[bytes], lines: "_Recent") -> int:
    rest = b""
    while True:
        code = process.poll()
        rest = lines.feed(rest + source.read())
        if code is not None:
            lines.feed(rest + b"\n")
            return code
        time.sleep(SECONDS_BETWEEN_READS)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(guard.GRACE_SECONDS * 2)


def _failure(job: Job, code: int, recent: Sequence[str]) -> Exception:
    if code == guard.TIMED_OUT:
        return TimeLimitError(
            f"{job.target}: not done after {job.limit / 60:.0f} minutes and ended. Choose a "
            "smaller budget, or raise STILLHOUSE_STAGE_MINUTES and retry the run: checkpoints "
            "and finished stages are kept."
        )
    if any(NO_SPACE in line for line in recent):
        return DiskFullError(
            f"{job.target}: no space left on the disk of {paths.state()}. Free some and retry the "
            "run: finished stages are kept."
        )
    codes = [int(match[1]) for line in recent if (match := EXIT_CODE.search(line))]
    if USER_ERROR in codes[-1:]:
        said = [line.removeprefix("error: ") for line in recent if line.startswith("error: ")]
        return StageUserError(f"{job.target}: " + (said[-1] if said else f"see {job.log}"))
    how = f"exit code {codes[-1]}" if codes else f"dvc ended with {code}"
    last = [line for line in recent if line.strip()][-1:]
    return StageCrashedError(f"{job.target}: {how}: {' '.join(last)} (output in {job.log})")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class _Recent:
    """Hands lines on and remembers the last ones."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line, self._redact = on_line, Redactor(os.environ)
        self.recent: list[str] = []
        self.ran = False

    def feed(self, data: bytes) -> bytes:
        """Hand on every complete line of `data`; returns the incomplete rest."""
        *whole, rest = re.split(rb"[\r\n]+", data)
        for raw in whole:
            line = self._redact(raw.decode("utf-8", errors="replace").rstrip())
            if line:
                self.ran = self.ran or RAN.match(line) is not None
                self.recent = [*self.recent[1 - KEPT_LINES :], line]
                self._on_line(line)
        return rest
