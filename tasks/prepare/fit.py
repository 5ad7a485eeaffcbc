"""Whether the section `prepare` names the fields and labels of the section `task`.

require(Prepare(...), Task(...))  # params.yaml: prepare.fields = body: must name the input fields
"""

from tasks import paths
from tasks.config import Task
from tasks.errors import ConfigError, Problem
from tasks.prepare.config import Prepare


def require(config: Prepare, task: Task) -> None:
    """Refuse a section whose fields or labels are not the task's.

    Raises:
        ConfigError: all differences at once.
    """
    found = differences(config, task, str(paths.PARAMS))
    if found:
        raise ConfigError(found)


def differences(config: Prepare, task: Task, file: str) -> list[Problem]:
    """Where `prepare` and `task` do not agree, as problems of `file`."""
    found = []
    if set(config.fields) != set(task.input_fields):
        remedy = f"must name the input fields of the task: {', '.join(task.input_fields)}"
        found.append(Problem(file, "prepare.fields", ", ".join(config.fields), remedy))
    unknown = sorted(task.prompt.fields - set(task.input_fields)) if task.prompt else []
    if unknown:
        remedy = f"not in task.input_fields ({', '.join(task.input_fields)}); mend the prompt"
        found.append(Problem(file, "task.prompt", ", ".join(unknown), remedy))
    reference = config.reference
    if reference.bins is not None and set(reference.bins) != set(task.labels):
        remedy = f"must name the labels of the task: {', '.join(task.labels)}"
        found.append(Problem(file, "prepare.reference.bins", ", ".join(reference.bins), remedy))
    mapped = set((reference.mapping or {}).values())
    if reference.mapping is not None and mapped != set(task.labels):
        remedy = f"its values must be the labels of the task: {', '.join(task.labels)}"
        found.append(Problem(file, "prepare.reference.mapping", ", ".join(sorted(mapped)), remedy))
    return found
