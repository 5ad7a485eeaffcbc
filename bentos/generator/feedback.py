"""A sample of what was asked and answered, for people and for the next training.

    {"model": "sentiment", "messages": [...], "answer": "positive", "prompt_tokens": 31,
     "completion_tokens": 1, "timestamp": "…", "request_id": "…", "trace_id": "…"}

BentoML's monitoring writes it, day by day, into the folder that STILLHOUSE_FEEDBACK names: never
into the Bento, and not at all without a folder. Requests and free answers are only kept where the
workload's policy lets their content be kept; a label out of a few tells nobody's secrets.
"""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from bentos.generator.engine import Completion
from bentos.generator.prompt import Message
from bentos.web import json_file

VARIABLE: Final = "STILLHOUSE_FEEDBACK"
NAME: Final = "feedback"


class FeedbackConfig(BaseModel):
    """How much is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: float = Field(default=0.0, ge=0, le=1, description="Of the requests.")
    content: bool = Field(
        default=False, description="Keep what was asked and answered, not only how long it was."
    )


class Feedback:
    """Keeps a sample; nothing at all where no folder is named."""

    def __init__(
        self,
        model: str,
        config: FeedbackConfig,
        folder: Path | None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`draw` gives a number from 0 to 1."""
        self._model, self._config, self._folder, self._draw = model, config, folder, draw

    @classmethod
    def from_environment(cls, model: str, config: FeedbackConfig) -> "Feedback":
        """Into the folder that STILLHOUSE_FEEDBACK names."""
        return cls(model, config, json_file.named(VARIABLE))

    def note(self, messages: Sequence[Message], answer: Completion, is_choice: bool) -> None:
        """One request and its answer, perhaps."""
        if self._folder is None or self._draw() >= self._config.share:
            return
        content = self._config.content
        row: dict[str, Any] = {
            "model": self._model,
            "messages": list(messages) if content else None,
            "answer": answer.text if content or is_choice else None,
            "prompt_tokens": answer.prompt_tokens,
            "completion_tokens": answer.completion_tokens,
        }
        _write(row, self._folder)


def _write(row: dict[str, Any], folder: Path) -> None:
    import bentoml  # heavy, and there in a Bento only

    options = {"log_path": str(folder)}
    with bentoml.monitor(NAME, monitor_class="default", monitor_options=options) as monitor:
        for name, value in row.items():
            kind = "numerical" if isinstance(value, int | float) else "categorical"
            monitor.log(value, name=name, role="feature", data_type=kind)
