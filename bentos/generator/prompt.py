"""Turns a request into the exact tokens that the model reads.

    renderer = Renderer.from_folder(Path("models/fetch/base"))
    ids = renderer.encode(renderer.render(messages_for(template, {"text": "A triumph."})))

Training, evaluation and serving all render here, so a model is served what it was trained on.
"""

import json
import string
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NoReturn

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import BaseModel, ConfigDict, field_validator
from tokenizers import Tokenizer
from typing_extensions import TypedDict

CHAT_TEMPLATE = "chat_template.jinja"
TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
WORD_JOINER = "\u2060"
"""Invisible character that breaks up a special token's text inside a message."""

Role = Literal["system", "user", "assistant"]


class Message(TypedDict):
    """One turn of a conversation."""

    role: Role
    content: str


class PromptTemplate(BaseModel):
    """Messages of a request, with {field} where an input field goes; {{ and }} are braces."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    system: str | None = None
    user: str

    @field_validator("system", "user")
    @classmethod
    def _placeholders_are_names(cls, value: str | None) -> str | None:
        if value is not None:
            _placeholders(value)
        return value

    @cached_property
    def fields(self) -> frozenset[str]:
        """Names of all placeholders."""
        return self.fields_of(self.system or "") | self.fields_of(self.user)

    @property
    def fixed_system(self) -> str | None:
        """The system message, where it is the same in every request."""
        return None if self.system is None or self.fields_of(self.system) else self.system

    @staticmethod
    def fields_of(text: str) -> frozenset[str]:
        """Names of the placeholders in one message."""
        return frozenset(_placeholders(text))


def messages_for(template: PromptTemplate, fields: Mapping[str, str]) -> list[Message]:
    """The messages of one request; text inside `fields` is never taken for a placeholder.

    Raises:
        ValueError: a placeholder has no field of that name.
    """
    messages: list[Message] = []
    if template.system is not None:
        messages.append({"role": "system", "content": _fill(template.system, fields)})
    messages.append({"role": "user", "content": _fill(template.user, fields)})
    return messages


class Renderer:
    """Chat template and tokenizer of one model."""

    def __init__(
        self, tokenizer: Tokenizer, chat_template: str, special_tokens: Mapping[str, str]
    ) -> None:
        """`special_tokens` are the template's variables, such as eos_token."""
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._template = _environment().from_string(chat_template)
        self._variables = dict(special_tokens)
        self._special = sorted(
            (t.content for t in tokenizer.get_added_tokens_decoder().values() if t.special),
            key=len,
            reverse=True,
        )

    @classmethod
    def from_folder(cls, folder: Path) -> "Renderer":
        """The renderer of a model's folder.

        Raises:
            FileNotFoundError: tokenizer.json or chat_template.jinja is not in the folder.
        """
        for name in (TOKENIZER, CHAT_TEMPLATE):
            if not (folder / name).is_file():
                raise FileNotFoundError(f"{folder} holds no {name}: it is not a complete model")
        return cls(
            Tokenizer.from_file(str(folder / TOKENIZER)),
            (folder / CHAT_TEMPLATE).read_text(encoding="utf-8"),
            _special_tokens(folder / TOKENIZER_CONFIG),
        )

    def render(self, messages: Sequence[Message], tools: Sequence[Any] = ()) -> str:
        """The prompt up to where the assistant's answer begins.

        `tools` are OpenAI's descriptions of what the model may call.

        Special tokens spelt out inside a message are broken up, so that whoever writes a message
        cannot end it or start another one.

        Raises:
            ValueError: the chat template refuses these messages.
        """
        safe = [{"role": m["role"], "content": self.neutralize(m["content"])} for m in messages]
        try:
            return self._template.render(
                messages=safe,
                tools=json.loads(self.neutralize(_to_json(list(tools)))) or None,
                documents=None,
                add_generation_prompt=True,
                **self._variables,
            )
        except jinja2.TemplateError as error:
            raise ValueError(f"the chat template refuses the messages: {error}") from error

    def neutralize(self, text: str) -> str:
        """`text` with a word joiner inside whatever would be read as a special token."""
        for token in self._special:
            text = text.replace(token, token[0] + WORD_JOINER + token[1:])
        return text

    def encode(self, prompt: str) -> list[int]:
        """Token ids of a rendered prompt (length,), nothing added.

        Raises:
            ValueError: the prompt holds half a character, which JSON can spell.
        """
        try:
            ids: list[int] = self._tokenizer.encode(prompt, add_special_tokens=False).ids
        except TypeError:
            raise ValueError("the prompt is no Unicode: it holds half a character") from None
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids, special tokens left out."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer below."""
        return self._tokenizer


def _placeholders(text: str) -> list[str]:
    names = []
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"{error}; write {{{{ and }}}} for braces that are text") from error
    for _, name, spec, conversion in parts:
        if name is None:
            continue
        if not name.isidentifier() or spec or conversion:
            raise ValueError(f"{{{name}}} must be the plain name of an input field")
        names.append(name)
    return names


def _fill(text: str, fields: Mapping[str, str]) -> str:
    filled = []
    for literal, name, _, _ in string.Formatter().parse(text):
        filled.append(literal)
        if name is None:
            continue
        if name not in fields:
            raise ValueError(f"the prompt needs the field {name}; given: {', '.join(fields)}")
        filled.append(fields[name])
    return "".join(filled)


def _special_tokens(file: Path) -> dict[str, str]:
    if not file.is_file():
        return {}
    names = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
    config = json.loads(file.read_text(encoding="utf-8"))
    found = {}
    for key in (f"{name}_token" for name in names):
        value = config.get(key)
        value = value.get("content") if isinstance(value, dict) else value
        if isinstance(value, str):
            found[key] = value
    return found


def _environment() -> jinja2.Environment:
    """What transformers compiles chat templates in, so that both render the same text."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    return environment


class _Generation(jinja2.ext.Extension):
    """Accepts {% generation %} blocks, which mark the assistant's words for training masks."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 declares it as an instance's

    def parse(self, parser: Any) -> Any:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        call = self.call_method("_body")
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

    def _body(self, caller: Callable[[], str]) -> str:
        return caller()


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    # Jinja's own filter escapes HTML, which models were not trained on.
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _strftime_now(layout: str) -> str:
    return datetime.now().strftime(layout)
