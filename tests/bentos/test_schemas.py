"""A schema that is let in is one that the engine follows."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bentos.generator.decoding import Decoding
from bentos.generator.openvino_engine import OpenVINOEngine
from bentos.generator.prompt import Renderer
from bentos.generator.schemas import GREATEST, MISREAD, Schema


def followed(text: str) -> bool:
    return MISREAD.search(text) is None


SCALARS = st.one_of(
    st.text(max_size=5).filter(followed),
    st.booleans(),
    st.integers(-GREATEST, GREATEST),
    st.floats(allow_nan=False, allow_infinity=False),
    st.none(),
)
WHOLE_ANSWERS = 30
"""At least, of the 60: others may be cut off, and say nothing of what the engine follows."""

TYPES = ("string", "number", "integer", "boolean", "null")
NAMES = st.from_regex(r'\A[^\x00-\x1f"\\]{1,8}\Z').filter(followed)


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    def made(properties: dict[str, Any], closed: bool) -> dict[str, Any]:
        some = sorted(properties)[: len(properties) // 2 + 1]
        told = {"type": "object", "properties": properties, "required": some}
        return told | ({"additionalProperties": False} if closed else {})

    return st.builds(made, st.dictionaries(NAMES, inner, min_size=1, max_size=3), st.booleans())


SCHEMAS = st.recursive(
    st.one_of(
        st.sampled_from(TYPES).map(lambda kind: {"type": kind}),
        st.lists(SCALARS, min_size=1, max_size=3).map(lambda values: {"enum": values}),
        SCALARS.map(lambda value: {"const": value}),
    ),
    lambda inner: st.one_of(
        objects(inner),
        st.builds(
            lambda items, least, more: {
                "type": "array",
                "items": items,
                "minItems": least,
                "maxItems": least + more,
            },
            inner,
            st.integers(0, 2),
            st.integers(0, 2),
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda several: {"anyOf": several}),
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def engine(converted: Path) -> Iterator[OpenVINOEngine]:
    loaded = OpenVINOEngine(converted, schemas=True)
    yield loaded
    loaded.close()


def test_the_engine_follows_what_is_let_in(engine: OpenVINOEngine, renderer: Renderer) -> None:
    whole: list[str] = []

    @given(schema=SCHEMAS)
    @settings(max_examples=60, derandomize=True)
    def follows(schema: dict[str, Any]) -> None:
        text = Schema.model_validate(schema).text()
        decoding = Decoding(max_new_tokens=60, json_schema=text)

        answer = asyncio.run(engine.complete(renderer.encode("x"), decoding))

        if answer.finish_reason == "stop":
            jsonschema.validate(json.loads(answer.text), schema)
            whole.append(answer.text)

    follows()
    assert len(whole) >= WHOLE_ANSWERS


def test_what_constrains_nothing_is_left_out() -> None:
    told = {"type": "object", "title": "T", "description": "D", "default": {}, "properties": {}}

    assert json.loads(Schema.model_validate(told).text()) == {"type": "object", "properties": {}}


def test_definitions_are_followed() -> None:
    told = {
        "$defs": {"Leaf": {"type": "string"}},
        "type": "object",
        "properties": {"leaf": {"$ref": "#/$defs/Leaf"}},
    }

    assert json.loads(Schema.model_validate(told).text()) == told
    with pytest.raises(ValueError, match="Branch is not defined"):
        Schema.model_validate(told | {"items": {"$ref": "#/$defs/Branch"}}).text()


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nothing"},
        {"type": []},
        {"enum": []},
        {"pattern": "(a+)+$"},
        {"required": ["a"]},
        {"type": "array", "minItems": 3, "maxItems": 2},
        {"$ref": "https://example.com/schema"},
        {"properties": {"": {}}},
        {"properties": {'a"b': {}}},
        {"properties": {"a\nb": {}}},
        {"properties": {"éa": {}}},
        {"const": "né0"},
        {"enum": ["x", "éa"]},
        {"const": float("nan")},
        {"enum": [1, float("-inf")]},
        {"const": 10**400},
        {"enum": [-(2**53) - 1]},
        {"const": "\ud800"},
        {"anyOf": []},
        {"anyOf": [{"type": "string", "surprise": 1}]},
    ],
    ids=str,
)
def test_what_engines_may_fail_at_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Schema.model_validate(schema)


def test_depth_and_size_are_bounded() -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(20):
        deep = {"type": "array", "items": deep}
    wide = {"enum": ["x" * 100] * 300}

    with pytest.raises(ValueError, match="levels deep"):
        Schema.model_validate(deep).text()
    with pytest.raises(ValueError, match="characters"):
        Schema.model_validate(wide).text()
