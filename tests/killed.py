"""A training that is killed between two checkpoints.

with killed_at(6):
    lora.finetune("finetune/lora", CONFIG)
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from transformers import TrainerState

from tasks.training import ShownSteps


@contextmanager
def killed_at(step: int) -> Iterator[None]:
    """What trains inside ends when it has done so many steps."""

    def die(shown: ShownSteps, args: Any, state: TrainerState, control: Any, **_: Any) -> None:
        if state.global_step == step:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ShownSteps, "on_step_end", die)
        with pytest.raises(KeyboardInterrupt):
            yield


def losses(report: Mapping[str, Any]) -> list[float]:
    """Every loss of the learning curve, in order."""
    return [loss for point in report["curve"] for key, loss in point.items() if key != "step"]
