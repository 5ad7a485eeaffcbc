"""A house with small stages: the same interface as the real tasks.workload."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tasks.errors import ConfigError, Problem

TARGETS = (
    ("fetch", "weights"),
    ("prepare", None),
    ("evaluate", "teacher"),
    ("evaluate", "small"),
    ("gate", None),
    ("report", None),
    ("package", None),
)


class StageRef(NamedTuple):
    stage: str
    variant: str | None = None

    @property
    def target(self) -> str:
        return f"{self.stage}@{self.variant}" if self.variant else self.stage


class Resolved(NamedTuple):
    content: dict[str, Any]

    @property
    def stages(self) -> list[StageRef]:
        return [StageRef(*target) for target in TARGETS]

    def write(self, file: Path) -> None:
        file.write_text(yaml.safe_dump(self.content), encoding="utf-8")


def resolve(
    workload: str, budget: str, overrides: Mapping[str, object], root: Path, local: Path
) -> Resolved:
    file = root / "workloads" / f"{workload}.yaml"
    if not file.exists():
        raise ConfigError([Problem(str(file), "workload", workload, "no such workload")])
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    found = []
    for key, value in overrides.items():
        section, _, name = key.partition(".")
        if section not in content or not name:
            found.append(Problem("overrides", key, repr(value), "no such section"))
        else:
            content[section][name] = value
    if found:
        raise ConfigError(found)
    return Resolved({"workload": workload, "budget": budget, **content})
