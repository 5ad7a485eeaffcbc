"""A metric of the user's own: module:function in the folder of the workload files.

task: {metric: "my_metrics:tone"}       workloads/my_metrics.py holds `def tone(answer, reference)`
"""

import importlib.util
import math
from collections.abc import Callable
from pathlib import Path

from tasks import paths
from tasks.errors import ConfigError, Problem

Score = Callable[[str, str], float]


def load(name: str, folder: Path = paths.WORKLOADS) -> Score:
    """The function, its scores checked whenever it is called.

    Raises:
        ConfigError: no such module in the folder, or no such function in it.
    """
    module_name, _, function_name = name.partition(":")
    file = folder / f"{module_name}.py"
    if not module_name.isidentifier() or not file.is_file():
        raise _problem(name, f"there is no {file}; write it, or name a metric of the kind")
    spec = importlib.util.spec_from_file_location(f"workloads.{module_name}", file)
    if spec is None or spec.loader is None:
        raise _problem(name, f"{file} is no module of Python")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function = getattr(module, function_name, None)
    if not callable(function):
        raise _problem(name, f"{file} has no function {function_name}(answer, reference)")

    def checked(answer: str, reference: str) -> float:
        score = float(function(answer, reference))
        if not 0 <= score <= 1 or math.isnan(score):
            raise _problem(name, f"gave {score}; a score must lie between 0 and 1")
        return score

    return checked


def _problem(name: str, remedy: str) -> ConfigError:
    return ConfigError([Problem(str(paths.PARAMS), "task.metric", name, remedy)])
