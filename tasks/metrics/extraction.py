"""Answers that are JSON: are they valid, and which fields are right?

field_f1('{"city": "Bern", "year": 1848}', '{"city": "Bern", "year": 1891}')    0.5
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator

NOT_JSON = (ValueError, RecursionError)
"""What the parser says of other text, and of brackets without end."""

Leaf = tuple[tuple[str | None, ...], str]


def json_validity(answer: str, schema: Mapping[str, object]) -> float:
    """1 where the answer is JSON that the schema (draft 2020-12) accepts, else 0."""
    try:
        value = _parsed(answer)
    except NOT_JSON:
        return 0.0
    return float(Draft202012Validator(schema).is_valid(value))


def same_value(answer: str, reference: str) -> float:
    """1 where both are JSON of the same value, whatever the order of keys and the blanks."""
    try:
        return float(_canonical(_parsed(answer)) == _canonical(_parsed(reference)))
    except NOT_JSON:
        return 0.0


def field_f1(answer: str, reference: str) -> float:
    """F1 of the leaves, each a path with its value; entries of a list are compared in any order.

    An empty object or list is a leaf. An answer that is no JSON has no leaf right.
    """
    try:
        found = Counter(_leaves(_parsed(answer)))
    except NOT_JSON:
        return 0.0
    wanted = Counter(_leaves(_parsed(reference)))
    return 2 * (found & wanted).total() / (found.total() + wanted.total())


def _parsed(text: str) -> Any:
    """JSON's value; 1.0 is the number 1."""
    return json.loads(text, parse_float=_number)


def _number(text: str) -> int | float:
    value = float(text)
    return int(value) if value.is_integer() else value


def _leaves(value: object, path: tuple[str | None, ...] = ()) -> Iterator[Leaf]:
    """Paths of keys, None for an entry of a list, each with its value."""
    match value:
        case dict() if value:
            for key, inner in value.items():
                yield from _leaves(inner, (*path, key))
        case list() if value:
            for inner in value:
                yield from _leaves(inner, (*path, None))
        case _:
            yield path, _canonical(value)


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
