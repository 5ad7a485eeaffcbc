"""A run in the terminal, as the UI shows it: log lines, progress, and how it ended.

state = Follower(run_id).until_done()
"""

import sys
import time
from contextlib import suppress
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import ArtifactFilter, LogFilter
from prefect.client.schemas.objects import State
from prefect.client.schemas.sorting import LogSort
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

SECONDS_BETWEEN_QUERIES = 3.0
"""Asking takes processor time from what is being measured."""

FAILURES_BEFORE_WORD = 5
LOGS_AT_ONCE = 200
LONGEST_LINE = 400
STAGE_WIDTH = 22
INFO = 20
WARNING = 30


class Follower:
    """Shows one run until it ends."""

    def __init__(self, run: UUID, console: Console) -> None:
        self._run, self._console = run, console
        self._shown_logs = 0
        self._bars: dict[str, TaskID] = {}
        self._percents: dict[str, float] = {}
        self._stages: dict[UUID, str] = {}
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console, transient=True)

    def until_done(self) -> State[object]:
        """Follow until the run has ended; the server may be away meanwhile."""
        failures = 0
        # Retrying is this loop's business: it says so on the terminal.
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}), self._progress:
            while True:
                try:
                    state = self._look()
                except (httpx.HTTPError, OSError):
                    failures, state = failures + 1, None
                    if failures == FAILURES_BEFORE_WORD:
                        self._say("the Prefect server does not answer; `make ui` starts it again")
                else:
                    failures = 0
                time.sleep(SECONDS_BETWEEN_QUERIES)
                if state is not None and state.is_final():
                    self._show_last_lines()
                    return state

    def _look(self) -> State[object] | None:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(self._run).state
            self._show_logs(client)
            self._show_progress(client)
        return state

    def _show_last_lines(self) -> None:
        # Logs are sent in batches: the last one may arrive after the state.
        with suppress(httpx.HTTPError, OSError):
            self._look()

    def _show_logs(self, client: SyncPrefectClient) -> None:
        wanted = LogFilter.model_validate(
            {"flow_run_id": {"any_": [self._run]}, "level": {"ge_": INFO}}
        )
        while True:
            logs = client.read_logs(
                wanted, offset=self._shown_logs, limit=LOGS_AT_ONCE, sort=LogSort.TIMESTAMP_ASC
            )
            for log in logs:
                mark = "! " if log.level >= WARNING else "  "
                clock = log.timestamp.astimezone().strftime("%H:%M:%S")
                stage = self._stage(client, log.task_run_id)
                self._say(f"{clock} {stage:<{STAGE_WIDTH}} {mark}{log.message[:LONGEST_LINE]}")
            self._shown_logs += len(logs)
            if len(logs) < LOGS_AT_ONCE:
                return

    def _stage(self, client: SyncPrefectClient, task_run: UUID | None) -> str:
        if task_run is None:
            return ""
        if task_run not in self._stages:
            self._stages[task_run] = client.read_task_run(task_run).name
        return self._stages[task_run]

    def _show_progress(self, client: SyncPrefectClient) -> None:
        wanted = ArtifactFilter.model_validate(
            {"flow_run_id": {"any_": [self._run]}, "type": {"any_": ["progress"]}}
        )
        for artifact in client.read_artifacts(artifact_filter=wanted):
            percent = float(artifact.data) if isinstance(artifact.data, int | float) else 0.0
            self._show_bar(str(artifact.id), artifact.description or "", percent)

    def _show_bar(self, key: str, text: str, percent: float) -> None:
        if self._percents.get(key) == percent:
            return
        self._percents[key] = percent
        if not self._console.is_terminal:
            self._say(f"{time.strftime('%H:%M:%S')} {text}: {percent:.0f}%")
        elif percent >= 100:
            if key in self._bars:
                self._progress.remove_task(self._bars.pop(key))
        elif key not in self._bars:
            self._bars[key] = self._progress.add_task(text, total=100, completed=int(percent))
        else:
            self._progress.update(self._bars[key], completed=percent, description=text)

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
        sys.stdout.flush()
