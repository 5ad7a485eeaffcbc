"""Answers that are JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.metrics.extraction import field_f1, json_validity, same_value

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "year": {"type": "integer"}},
    "required": ["city"],
    "additionalProperties": False,
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("answer", "valid"),
    [
        ('{"city": "Bern", "year": 1848}', 1),
        ('{"city": "Bern"}', 1),
        ('{"year": 1848}', 0),
        ('{"city": "Bern", "mayor": "?"}', 0),
        ("Bern", 0),
    ],
)
def test_an_answer_is_valid_where_the_schema_accepts_it(answer: str, valid: int) -> None:
    assert json_validity(answer, SCHEMA) == valid


def test_each_field_counts() -> None:
    reference = '{"city": "Bern", "year": 1848, "rivers": ["Aare", "Gürbe"]}'
    assert field_f1('{"rivers": ["Gürbe", "Aare"], "year": 1848, "city": "Bern"}', reference) == 1
    assert field_f1('{"city": "Bern", "year": 1848}', reference) == pytest.approx(2 * 2 / 6)
    assert field_f1('{"city": "Bern", "year": 1891}', reference) == pytest.approx(2 * 1 / 6)
    assert field_f1("I do not know", reference) == 0


@pytest.mark.parametrize("answer", ["[" * 100_000, "{" * 5_000, ""])
def test_brackets_without_end_are_a_wrong_answer_and_nothing_worse(answer: str) -> None:
    assert field_f1(answer, "{}") == json_validity(answer, SCHEMA) == same_value(answer, "{}") == 0


def test_keys_with_dots_numbers_and_empty_lists_are_told_apart() -> None:
    assert field_f1('{"a.b": 1}', '{"a": {"b": 1}}') == 0
    assert field_f1('{"a": []}', "{}") == 0
    assert same_value("1.0", "1") == field_f1('{"n": 2.0}', '{"n": 2}') == 1
    assert same_value("true", "1") == 0


@given(JSON, JSON)
def test_a_value_agrees_with_itself_and_order_of_keys_does_not_matter(
    value: object, other: object
) -> None:
    text = json.dumps(value)
    assert field_f1(text, text) == same_value(text, json.dumps(value, sort_keys=True)) == 1
    assert 0 <= field_f1(json.dumps(other), text) <= 1
    assert field_f1(json.dumps(other), text) == field_f1(text, json.dumps(other))
