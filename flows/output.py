"""What a stage prints, line by line, in the Prefect UI: progress as a bar, the rest as log.

progress finetune 40/120 loss 0.41   ->  progress artifact at 33%
"""

import logging
import re
from logging import LoggerAdapter
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact

from tasks import progress

CHATTER = re.compile(
    r"^(Updating lock file|Generating lock file|To track the changes|To enable auto staging"
    r"|Use `dvc push`|\s+git add |\s+dvc config core\.autostage|Data and pipelines are up to date)"
)
"""DVC's advice to people at a terminal; the flow follows it by itself."""


class Output:
    """Takes the lines of one stage."""

    def __init__(self, target: str, logger: "logging.Logger | LoggerAdapter[logging.Logger]"):
        self._target, self._logger = target, logger
        self._artifact: UUID | None = None

    def __call__(self, line: str) -> None:
        """Show one line."""
        step = progress.parse(line)
        if step is not None:
            self._show(step)
        elif not CHATTER.match(line):
            self._logger.info(line)

    def _show(self, step: progress.Step) -> None:
        percent = 100.0 * min(step.done / step.total, 1.0) if step.total else 0.0
        text = f"{self._target}: {step.label} {step.done}/{step.total} {step.note}".rstrip()
        try:
            self._send(percent, text)
        except httpx.HTTPError as error:
            # A bar that stands still is no reason to lose an hour of training.
            self._logger.debug("progress is not shown: %s", error)

    def _send(self, percent: float, text: str) -> None:
        if self._artifact is None:
            key = "progress-" + re.sub(r"[^a-z0-9]+", "-", self._target.lower()).strip("-")
            made = create_progress_artifact(percent, key=key, description=text)
            self._artifact = made if isinstance(made, UUID) else None
        else:
            update_progress_artifact(self._artifact, percent, description=text)
