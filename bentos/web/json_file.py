"""Reads what a service is told by a JSON file.

told = read(Path("/run/router.json"), Deployment)
"""

import os
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)


def read(file: Path, model: type[Model], remedy: str = "") -> Model:
    """The file's content.

    Raises:
        FileNotFoundError: there is no such file; ends with the remedy.
        ValueError: it does not hold what it should; names every key that is wrong.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file.parent} holds no {file.name}{remedy and f': {remedy}'}")
    try:
        return model.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise ValueError(f"{file} is not valid: {error}") from error


def named(variable: str) -> Path | None:
    """The file or folder that an environment variable names; None where it is not set.

    Raises:
        ValueError: the path is relative: a served Bento works in a folder of its own.
    """
    if not (told := os.environ.get(variable)):
        return None
    if not Path(told).is_absolute():
        raise ValueError(
            f"{variable} = {told}: give the whole path, such as {Path(told).absolute()}"
        )
    return Path(told)
