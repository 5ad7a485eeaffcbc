"""The release in use as a rival of every new one: its model comes back out of DVC's cache.

champion.dvc    outs: models/champion/current by hash; meta: {version: v0.0.2, engine: openvino, …}

The file lies in the worktree of a run and is committed with its parameters, so the run is
reproduced by its commit alone, whatever is promoted meanwhile.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from flows.registry import Registry, RegistryError
from flows.worktree import CHAMPION as FILE
from flows.worktree import GitError, git
from tasks import paths
from tasks.candidates_table import GateReport

NAME: Final = "champion"
"""Of its entry in evaluate.candidates."""


class Champion(NamedTuple):
    """A version in use.

    Attributes:
        candidate: what it was called in the run that made it.
        output: what DVC knows of its folder: hash, size, number of files.
    """

    version: str
    candidate: str
    engine: str
    output: Mapping[str, Any]

    def parameters(self) -> dict[str, object]:
        """What a run is told beside its workload file: measure this one too, and beat it."""
        entry = {"candidate": paths.CHAMPION, "engine": self.engine, "role": NAME}
        return {f"evaluate.candidates.{NAME}": entry, f"gate.{NAME}": NAME}

    def write(self, root: Path) -> None:
        """Tell DVC of the model, in the worktree at `root`."""
        out = {**self.output, "path": str(paths.candidate(paths.CHAMPION))}
        meta = {"version": self.version, "candidate": self.candidate, "engine": self.engine}
        content = {"outs": [out], "meta": meta}
        (root / FILE).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def in_use(checkout: Path, workload: str) -> Champion | None:
    """The champion of the registry, None before the first promotion.

    Raises:
        RegistryError: its commit does not tell which model it released.
    """
    registry = Registry(checkout, workload)
    version = registry.current("champion")
    if version is None:
        return None
    commit = next(e.commit for e in registry.history() if (e.version, e.stage) == (version, None))
    try:
        gate = GateReport.model_validate_json(_show(checkout, commit, paths.published("gate")))
        lock = yaml.safe_load(_show(checkout, commit, Path("dvc.lock")))
    except (GitError, ValueError) as error:
        raise _unusable(workload, version, str(error)) from error
    if gate.candidate is None or gate.candidate.candidate is None:
        raise _unusable(workload, version, "its gate put no candidate to the test")
    name = gate.candidate.candidate
    wanted = str(paths.candidate(name))
    outputs = [out for stage in lock["stages"].values() for out in stage.get("outs", ())]
    found = [out for out in outputs if out["path"] == wanted]
    if not found:
        raise _unusable(workload, version, f"dvc.lock has no {wanted}")
    kept = {key: value for key, value in found[0].items() if key != "path"}
    return Champion(version, name, gate.candidate.engine, kept)


def of_run(root: Path) -> Champion | None:
    """The champion that a run began with."""
    if not (root / FILE).exists():
        return None
    content = yaml.safe_load((root / FILE).read_text(encoding="utf-8"))
    [output] = content["outs"]
    kept = {key: value for key, value in output.items() if key != "path"}
    return Champion(output=kept, **content["meta"])


def _show(checkout: Path, commit: str, file: Path) -> str:
    return git(checkout, "show", f"{commit}:{file}")


def _unusable(workload: str, version: str, why: str) -> RegistryError:
    return RegistryError(
        f"{workload} {version} is in use, but cannot be measured beside a new release: {why}; "
        "promote another version with the flow promote"
    )
