"""Requests of the OpenAI API as this service takes them.

    {"model": "sentiment", "messages": [{"role": "user", "content": "A triumph."}]}

Options that cannot change an answer are taken and ignored; others that are not supported are an
error naming the field, never silently dropped.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from bentos.generator.decoding import MAX_STOPS
from bentos.generator.prompt import Message
from bentos.generator.schemas import ANY_OBJECT, Schema

Zero = Annotated[float, Field(ge=0, le=0)]
Empty = Annotated[dict[str, object], Field(max_length=0)]
Tokens = Annotated[int, Field(ge=1, lt=2**31)]
"""Of an answer at most; a context that holds fewer cuts it off, but no model has so many."""


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())


class StreamOptions(_Body):
    """What a stream holds beside the answer."""

    model_config = ConfigDict(extra="ignore")

    include_usage: bool = False


class TextPart(_Body):
    """A piece of a message; images and sound are not supported."""

    type: Literal["text"]
    text: str


class ChatMessage(_Body):
    """One turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]
    name: str | None = Field(default=None, description="Ignored.")

    def message(self) -> Message:
        """The message as the renderer takes it."""
        content = self.content
        text = content if isinstance(content, str) else "".join(part.text for part in content)
        return {"role": "system" if self.role == "developer" else self.role, "content": text}


class NamedSchema(_Body):
    """A JSON Schema with what OpenAI's clients send beside it."""

    name: str | None = Field(default=None, description="Ignored.")
    description: str | None = Field(default=None, description="Ignored.")
    strict: bool | None = Field(default=None, description="Ignored: an answer always fits.")
    schema_: Schema = Field(alias="schema", description="JSON Schema.")


class ResponseFormat(_Body):
    """What an answer looks like, in place of what the workload's answers do."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None

    @model_validator(mode="after")
    def _has_its_schema(self) -> "ResponseFormat":
        if (self.json_schema is not None) != (self.type == "json_schema"):
            raise ValueError("json_schema belongs to the type json_schema, and there only")
        return self


class _Options(_Body):
    model: str | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    stop: str | list[str] | None = Field(default=None, max_length=1024)
    max_tokens: Tokens | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = Field(default=None, ge=1, le=16)
    presence_penalty: Zero | None = None
    frequency_penalty: Zero | None = None
    logit_bias: Empty | None = None
    user: str | None = Field(default=None, description="Ignored.")
    metadata: dict[str, str] | None = Field(default=None, description="Ignored.")

    @field_validator("stop")
    @classmethod
    def _few_stops(cls, stop: str | list[str] | None) -> str | list[str] | None:
        if isinstance(stop, list) and len(stop) > MAX_STOPS:
            raise ValueError(f"at most {MAX_STOPS} texts")
        return stop

    def stops(self) -> tuple[str, ...]:
        """The stop texts."""
        stop = self.stop or []
        return (stop,) if isinstance(stop, str) else tuple(stop)


class ChatRequest(_Options):
    """Body of /v1/chat/completions."""

    messages: list[ChatMessage] = Field(min_length=1)
    max_completion_tokens: Tokens | None = None
    response_format: ResponseFormat | None = Field(
        default=None, description="Set to text to lift the workload's constraint to its choices."
    )
    logprobs: bool | None = Field(default=None, description="Of the answer's own tokens.")
    top_logprobs: Annotated[int, Field(ge=0, le=0)] | None = None
    tools: Annotated[list[object], Field(max_length=0)] | None = None
    tool_choice: Literal["none", "auto"] | None = None
    parallel_tool_calls: bool | None = Field(default=None, description="Ignored.")
    store: bool | None = Field(default=None, description="Ignored.")
    service_tier: str | None = Field(default=None, description="Ignored.")

    def json_schema(self) -> str | None:
        """The schema that an answer is to fit, as JSON.

        Raises:
            ValueError: no engine follows such a schema.
        """
        wanted = self.response_format
        if wanted is None or wanted.type == "text":
            return None
        return ANY_OBJECT if wanted.json_schema is None else wanted.json_schema.schema_.text()


class CompletionRequest(_Options):
    """Body of /v1/completions."""

    prompt: str | list[int] | Annotated[list[str], Field(min_length=1, max_length=64)]
    best_of: Annotated[int, Field(ge=1, le=1)] | None = None
    logprobs: Annotated[int, Field(ge=0, le=0)] | None = Field(
        default=None, description="0 tells those of the answer's own tokens."
    )
    echo: Literal[False] | None = None
