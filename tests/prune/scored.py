"""A tiny model with the scores of its parts, and pruned variants of it.

base = scored_base()
report = pruned("neurons", keep_neurons=32)       # writes models/prune/neurons
"""

import importlib
from pathlib import Path
from typing import Any

from tasks import paths
from tasks.importance.config import ImportanceConfig
from tasks.importance.weigh import weigh
from tasks.prune.config import PruneConfig
from tests.tiny import tiny_data, tiny_model

LAYERS, NEURONS, GROUPS, CHANNELS = 4, 64, 2, 32
"""Of the tiny model."""

EVERY_METHOD: dict[str, dict[str, Any]] = {
    "depth": {"keep_layers": 2},
    "neurons": {"keep_neurons": 32},
    "heads": {"keep_groups": 1},
    "channels": {"keep_channels": 16},
    "combined": {"to_parameters": 0.5, "step": 8},
}


def scored_base() -> Path:
    """models/fetch/base and data/importance/base, below the working directory."""
    tiny_data()
    folder = tiny_model(paths.candidate("fetch/base"), layers=LAYERS)
    scored()
    return folder


def scored() -> None:
    """data/importance/base, of the base as it is now."""
    weigh(paths.importance("base"), ImportanceConfig(of="fetch/base", rows=8, leave_one_out=True))


def config(method: str, **settings: object) -> PruneConfig:
    """Settings of a variant that is pruned from the base by its scores."""
    common = {"from": "fetch/base", "importance": "base", "method": method}
    return PruneConfig.model_validate(common | settings)


def pruned(method: str, **settings: object) -> dict[str, Any]:
    """The report of the variant prune/<method>."""
    technique = importlib.import_module(f"tasks.prune.{method}")
    report: dict[str, Any] = technique.prune(f"prune/{method}", config(method, **settings))
    return report
