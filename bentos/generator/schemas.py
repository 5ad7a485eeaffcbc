"""JSON Schemas that an answer can be held to: the part of the language that engines follow.

    {"type": "object", "properties": {"label": {"enum": ["a", "b"]}}, "required": ["label"]}

Engines make a grammar of a schema in the middle of everybody's work, so what they could fail at is
refused before: keywords beyond these (draft 2020-12, https://json-schema.org), contradictions,
depth. Titles, descriptions and defaults constrain nothing and are left out.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

MAX_DEPTH: Final = 16
MAX_CHARACTERS: Final = 16_384
GREATEST: Final = 2**53
"""Of whole numbers: a reader that takes them for floats (most do) still tells it from its next."""
DEFINITIONS: Final = "#/$defs/"

Type = Literal["string", "number", "integer", "boolean", "null", "object", "array"]
MISREAD: Final = re.compile(r"[\x80-\xff][0-9A-Fa-f]")
"""XGrammar writes such a letter as two hexadecimal digits, and reads what follows as a third."""


def _is_read_as_written(text: str) -> str:
    text.encode()  # half a character is an error of its own
    if found := MISREAD.search(text):
        raise ValueError(
            f"the engine cannot follow {found[0]!r}: another letter must stand between"
        )
    return text


def _is_exact(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("JSON has no such number")
    if isinstance(value, int) and abs(value) > GREATEST:
        raise ValueError("readers of JSON are exact up to 2**53 only")
    return value


Text = Annotated[str, AfterValidator(_is_read_as_written)]
Scalar = Annotated[Text | bool | int | float | None, AfterValidator(_is_exact)]
Name = Annotated[
    str,
    StringConstraints(pattern=r'^[^\x00-\x1f"\\]{1,200}$'),
    AfterValidator(_is_read_as_written),
]
"""Of a property: engines write it into a grammar as it is."""

Count = Annotated[int, Field(ge=0, le=1000)]


class Schema(BaseModel):
    """One schema, with those inside it."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    type: Type | Annotated[list[Type], Field(min_length=1)] | None = None
    enum: Annotated[list[Scalar], Field(min_length=1, max_length=500)] | None = None
    const: Scalar = None
    properties: dict[Name, "Schema"] | None = None
    required: list[Name] | None = None
    additional_properties: bool | None = Field(default=None, alias="additionalProperties")
    items: "Schema | None" = None
    min_items: Count | None = Field(default=None, alias="minItems")
    max_items: Count | None = Field(default=None, alias="maxItems")
    any_of: Annotated[list["Schema"], Field(min_length=1)] | None = Field(
        default=None, alias="anyOf"
    )
    ref: Annotated[str, StringConstraints(pattern=r"^#/\$defs/[\w.-]+$")] | None = Field(
        default=None, alias="$ref"
    )
    defs: dict[Annotated[str, StringConstraints(pattern=r"^[\w.-]+$")], "Schema"] | None = Field(
        default=None, alias="$defs"
    )
    title: object = Field(default=None, exclude=True)
    description: object = Field(default=None, exclude=True)
    default: object = Field(default=None, exclude=True)

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> "Schema":
        missing = {*(self.required or ())} - {*(self.properties or {})}
        if missing:
            raise ValueError(f"required names {', '.join(sorted(missing))}, no properties of it")
        if self.max_items is not None and (self.min_items or 0) > self.max_items:
            raise ValueError("minItems is greater than maxItems")
        return self

    def text(self) -> str:
        """The schema as JSON, for an engine.

        Raises:
            ValueError: it is too large or too deep, or refers to what is not defined.
        """
        self._check_depth()
        self._check_references()
        told = self.model_dump(mode="json", by_alias=True, exclude_unset=True)
        text = json.dumps(told, ensure_ascii=False)
        if len(text) > MAX_CHARACTERS:
            raise ValueError(f"the schema has more than {MAX_CHARACTERS} characters")
        return text

    def _inner(self) -> "Iterator[Schema]":
        yield from (self.properties or {}).values()
        yield from self.any_of or ()
        yield from (self.defs or {}).values()
        if self.items is not None:
            yield self.items

    def _check_depth(self) -> None:
        level: list[Schema] = [self]
        for _ in range(MAX_DEPTH):
            level = [inner for schema in level for inner in schema._inner()]
        if level:
            raise ValueError(f"the schema is more than {MAX_DEPTH} levels deep")

    def _check_references(self) -> None:
        level: list[Schema] = [self]
        while level:
            for schema in level:
                if schema is not self and schema.defs:
                    raise ValueError("$defs belongs to the outermost schema")
                if schema.ref and schema.ref.removeprefix(DEFINITIONS) not in (self.defs or {}):
                    raise ValueError(f"$ref: {schema.ref} is not defined")
            level = [inner for schema in level for inner in schema._inner()]


ANY_OBJECT: Final = '{"type": "object"}'
"""What response_format json_object asks for."""
