"""One section of params.yaml, typed.

    read("finetune.lora", LoraConfig)

A stage reads its own section and nothing else, so that DVC can tell from params.yaml alone
which stages a change concerns.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from tasks import paths
from tasks.errors import ConfigError, Problem

Model = TypeVar("Model", bound=BaseModel)


def read(section: str, model: type[Model], file: Path = paths.PARAMS) -> Model:
    """The section at the dotted key `section`, validated.

    Raises:
        ConfigError: the file or the section is missing, or its values are wrong.
    """
    value = _lookup(load_yaml(file), section, file)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise ConfigError(problems(error, file, section)) from error


def read_text(section: str, file: Path = paths.PARAMS) -> str:
    """The plain string at the dotted key `section`."""
    return str(_lookup(load_yaml(file), section, file))


def load_yaml(file: Path, shown: Path | None = None) -> dict[str, object]:
    """A YAML file whose top is a mapping; errors call it `shown`.

    Raises:
        ConfigError: missing, not YAML, or not a mapping.
    """
    name = str(shown or file)
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        remedy = "the file does not exist; run from the root of the checkout"
        raise ConfigError([Problem(name, "-", "-", remedy)]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        remedy = f"not readable as YAML: {' '.join(str(error).split())}"
        raise ConfigError([Problem(name, "-", "-", remedy)]) from error
    if not isinstance(content, dict):
        remedy = "must be a mapping of sections such as fetch, prepare, finetune"
        raise ConfigError([Problem(name, "-", type(content).__name__, remedy)])
    return content


def problems(error: ValidationError, file: Path, section: str = "") -> list[Problem]:
    """Pydantic's findings in the form file, key, value, remedy."""
    found = []
    for detail in error.errors(include_url=False):
        key = ".".join([section] * bool(section) + [str(part) for part in detail["loc"]])
        value = "-" if detail["type"] == "missing" else repr(detail["input"])[:120]
        remedy = detail["msg"]
        if detail["type"] == "extra_forbidden":
            remedy = "unknown field; remove it or mend its spelling"
        found.append(Problem(str(file), key or "-", value, remedy))
    return found


def _lookup(content: Mapping[str, object], section: str, file: Path) -> object:
    value: object = content
    for part in section.split("."):
        if not isinstance(value, Mapping) or part not in value:
            remedy = "no such section; name a variant that params.yaml holds"
            raise ConfigError([Problem(str(file), section, "-", remedy)])
        value = value[part]
    return value
