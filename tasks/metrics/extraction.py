"""Answers that are JSON: are they valid, and which fields are right?

field_f1('{"city": "Bern", "year": 1848}', '{"city": "Bern", "year": 1891}')    0.5
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping

from jsonschema import Draft202012Validator


def json_validity(answer: str, schema: Mapping[str, object]) -> float:
    """1 where the answer is JSON that the schema (draft 2020-12) accepts, else 0."""
    try:
        value = json.loads(answer)
    except ValueError:
        return 0.0
    return float(Draft202012Validator(schema).is_valid(value))


def same_value(answer: str, reference: str) -> float:
    """1 where both are JSON of the same value, whatever the order of keys and the blanks."""
    try:
        return float(_canonical(json.loads(answer)) == _canonical(json.loads(reference)))
    except ValueError:
        return 0.0


def field_f1(answer: str, reference: str) -> float:
    """F1 of the leaves, each a path with its value; entries of a list are compared in any order.

    An answer that is no JSON has no leaf right. Two values without leaves are equal: 1.
    """
    try:
        found = Counter(_leaves(json.loads(answer)))
    except ValueError:
        return 0.0
    wanted = Counter(_leaves(json.loads(reference)))
    if not found and not wanted:
        return 1.0
    return 2 * (found & wanted).total() / (found.total() + wanted.total())


def _leaves(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    match value:
        case dict():
            for key, inner in value.items():
                yield from _leaves(inner, f"{path}.{key}")
        case list():
            for inner in value:
                yield from _leaves(inner, f"{path}[]")
        case _:
            yield path, _canonical(value)


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
