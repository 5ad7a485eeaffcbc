"""A house with small stages: the same interface as the real tasks.workload."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml

from tasks.errors import ConfigError, Problem

Budget = Literal["smoke", "quick", "full"]
BEFORE = (("fetch", "weights"), ("prepare", None), ("quantize", "small"))
AFTER = (("gate", None), ("report", None), ("package", None))


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
        evaluated = [("evaluate", name) for name in self.content["evaluate"]["candidates"]]
        return [StageRef(*target) for target in (*BEFORE, *evaluated, *AFTER)]

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
        *parents, name = key.split(".")
        section = content
        for parent in parents:
            section = section.get(parent, {})
        if not section or not parents:
            found.append(Problem("overrides", key, repr(value), "no such section"))
        else:
            section[name] = value
    if found:
        raise ConfigError(found)
    return Resolved({"workload": workload, "budget": budget, **content})
