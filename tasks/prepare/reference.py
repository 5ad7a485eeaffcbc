"""The wanted answer of a row, in the form that the task's kind asks for.

"-1.8" with bins                   -> "negative"
{"total": "12 EUR"} for extraction -> '{"total": "12 EUR"}', if the task's schema holds
"""

import json
import math
from collections.abc import Mapping
from typing import assert_never

import jsonschema
from jsonschema.exceptions import best_match

from tasks.config import Task
from tasks.prepare.config import Reference
from tasks.prepare.conversation import UnusableError
from tasks.prepare.pii import Mask, masked_json
from tasks.prepare.text import normalize, plain


class OutsideBinsError(Exception):
    """The number is in no bin: not an error of the data, the row is only not wanted."""


class NoReferenceError(UnusableError):
    """A request without its answer: of use only to a teacher."""


def of(value: object, config: Reference, task: Task, mask: Mask) -> str:
    """The reference that a raw value stands for.

    Raises:
        OutsideBinsError: a number in no bin.
        NoReferenceError: there is none.
        UnusableError: with the reason.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        raise NoReferenceError(config.lacking)
    match task.kind:
        case "classification":
            found = label(value, config)
            if found not in task.labels:
                raise UnusableError("label is not in task.labels")
            return found
        case "extraction":
            return _extracted(value, config, task, mask)
        case "translation" | "summarization" | "chat":
            return mask(normalize(plain(value)))
        case _:
            assert_never(task.kind)


def label(value: object, config: Reference) -> str:
    """The label that a raw value stands for.

    Raises:
        OutsideBinsError: a number in no bin.
        UnusableError: with the reason.
    """
    if config.bins is not None:
        return _binned(value, config.bins, config.shown)
    text = normalize(plain(value))
    if config.mapping is None:
        return text
    if text not in config.mapping:
        raise UnusableError(f"{config.shown} is not in prepare.reference.mapping")
    return config.mapping[text]


def _binned(
    value: object, bins: Mapping[str, tuple[float | None, float | None]], shown: str
) -> str:
    try:
        number = float(str(value))
    except ValueError:
        raise UnusableError(f"{shown} is not a number") from None
    if math.isnan(number):
        raise UnusableError(f"{shown} is not a number")
    for name, (low, high) in bins.items():
        if (low is None or low <= number) and (high is None or number < high):
            return name
    raise OutsideBinsError


def _extracted(value: object, config: Reference, task: Task, mask: Mask) -> str:
    """JSON with sorted keys, so that one answer has one spelling."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (json.JSONDecodeError, RecursionError):
            raise UnusableError(f"{config.shown} is not JSON") from None
    answer = masked_json(value, mask)
    schema = task.answer_schema or {}
    error = best_match(jsonschema.Draft202012Validator(schema).iter_errors(answer))
    if error is not None:
        # The path within the schema: the one within the answer could hold what stands in the row.
        broken = "/".join(map(str, error.absolute_schema_path))
        raise UnusableError(f"{config.shown} breaks task.answer_schema at {broken}")
    return json.dumps(answer, ensure_ascii=False, sort_keys=True)
