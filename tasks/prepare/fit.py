"""Whether the section `prepare` names the fields and labels of the section `task`.

require(Prepare(...), Task(...))  # params.yaml: prepare.fields = body: must name the input fields
"""

from collections.abc import Iterator

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
    return [
        *_input_differences(config, task, file),
        *_answer_differences(config, task, file),
        *_schema_errors(task, file),
    ]


def _input_differences(config: Prepare, task: Task, file: str) -> Iterator[Problem]:
    if (config.messages is None) != (task.prompt is not None):
        remedy = "rows of conversations (prepare.messages) and task.prompt exclude each other; "
        remedy += "give prepare.fields with a prompt, or prepare.messages without"
        yield Problem(file, "prepare.messages", str(config.messages), remedy)
    elif set(config.fields) != set(task.input_fields):
        remedy = f"must name the input fields of the task: {', '.join(task.input_fields)}"
        yield Problem(file, "prepare.fields", ", ".join(config.fields), remedy)
    unknown = sorted(task.prompt.fields - set(task.input_fields)) if task.prompt else []
    if unknown:
        remedy = f"not in task.input_fields ({', '.join(task.input_fields)}); mend the prompt"
        yield Problem(file, "task.prompt", ", ".join(unknown), remedy)


def _answer_differences(config: Prepare, task: Task, file: str) -> Iterator[Problem]:
    reference = config.reference
    mapped = set((reference.mapping or {}).values())
    for key, given, names in (
        ("prepare.reference.bins", reference.bins, set(reference.bins or {})),
        ("prepare.reference.mapping", reference.mapping, mapped),
    ):
        if given is None:
            continue
        if task.kind != "classification":
            yield Problem(file, key, ", ".join(sorted(names)), "for classification; leave it out")
        elif names != set(task.labels):
            what = "must name" if key.endswith("bins") else "its values must be"
            remedy = f"{what} the labels of the task: {', '.join(task.labels)}"
            yield Problem(file, key, ", ".join(sorted(names)), remedy)


def _schema_errors(task: Task, file: str) -> Iterator[Problem]:
    if task.answer_schema is None:
        return
    import jsonschema  # only where there is a schema: flows load this module

    try:
        jsonschema.Draft202012Validator.check_schema(task.answer_schema)
    except jsonschema.SchemaError as error:
        where = ".".join(["task.answer_schema", *map(str, error.absolute_path)])
        yield Problem(file, where, repr(error.instance)[:80], f"no JSON schema: {error.message}")
