"""Where the models are and who may spend what: the file that STILLHOUSE_ROUTER names.

    {"upstreams": {"small-int8": {"base_url": "http://127.0.0.1:3001/v1", "model": "sentiment",
                                  "price_per_1000_requests": 0.0002},
                   "teacher": {"base_url": "https://api.example.com/v1", "model": "large",
                               "key_variable": "TEACHER_KEY",
                               "price_per_million_input_tokens": 0.5,
                               "price_per_million_output_tokens": 1.5}},
     "tiers": {"free": ["small-int8"], "standard": ["small-int8", "teacher"]},
     "default_tier": "standard", "day_limits": {"team-a": 5.0},
     "shadow": {"upstream": "next", "of": "small-int8", "share": 0.02}}

Only upstreams named here are ever asked. Keys stand in environment variables, never in the file.
"""

import json
import os
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from bentos.web import json_file
from bentos.web.limits import Limits

VARIABLE: Final = "STILLHOUSE_ROUTER"

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Money = Annotated[float, Field(ge=0)]
CHARACTERS_PER_TOKEN: Final = 3
"""Few, so that the guess before a request is sent is high rather than low."""

USUAL_TOKENS: Final = 1024
"""Of an answer whose request sets no limit."""


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class UpstreamConfig(_Config):
    """A model behind an OpenAI-compatible API."""

    base_url: str = Field(pattern=r"^https?://[^\s@]+$", description="Ends with /v1, mostly.")
    model: str = Field(min_length=1, description="Its name there.")
    key_variable: str | None = Field(
        default=None, pattern=r"^[A-Z_][A-Z0-9_]*$", description="Environment variable of its key."
    )
    price_per_1000_requests: Money | None = None
    price_per_million_input_tokens: Money | None = None
    price_per_million_output_tokens: Money | None = None
    seconds: float = Field(
        default=30,
        gt=0,
        le=3600,
        description="For an answer, or a stream to begin; then as long for all of it.",
    )
    tells_confidence: bool = Field(
        default=True, description="Whether it may be asked for log-probabilities."
    )

    @model_validator(mode="after")
    def _has_one_kind_of_price(self) -> "UpstreamConfig":
        tokens = (self.price_per_million_input_tokens, self.price_per_million_output_tokens)
        if self.by_token == (self.price_per_1000_requests is not None) or (None in tokens) != (
            tokens == (None, None)
        ):
            raise ValueError("give price_per_1000_requests, or both prices per million tokens")
        return self

    @property
    def by_token(self) -> bool:
        """Whether each answer has a price of its own."""
        return None not in (
            self.price_per_million_input_tokens,
            self.price_per_million_output_tokens,
        )

    def price(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Of one request."""
        if self.price_per_1000_requests is not None:
            return self.price_per_1000_requests / 1000
        read = prompt_tokens * (self.price_per_million_input_tokens or 0)
        written = completion_tokens * (self.price_per_million_output_tokens or 0)
        return (read + written) / 1_000_000

    def key(self) -> str | None:
        """The API key; None where none is named.

        Raises:
            ValueError: its variable is not set.
        """
        if self.key_variable is None:
            return None
        if not (key := os.environ.get(self.key_variable)):
            raise ValueError(f"the environment variable {self.key_variable} is not set")
        return key


class Canary(_Config):
    """A new model takes a share of another one's requests, until it is shown to do worse."""

    upstream: Name
    of: Name = Field(description="Whose requests.")
    share: float = Field(gt=0, le=1)
    alpha: float = Field(default=0.01, gt=0, lt=1, description="Odds of a stop without a reason.")


class Shadow(_Config):
    """A model that is asked as well, and whose answers nobody gets."""

    upstream: Name
    of: Name = Field(description="Whose answers its own are compared with.")
    share: float = Field(gt=0, le=1)
    at_once: int = Field(default=8, ge=1, le=1000, description="More are left out, not queued.")


class Deployment(_Config):
    """All of it."""

    upstreams: dict[Name, UpstreamConfig] = Field(min_length=1)
    tiers: dict[Name, Annotated[tuple[Name, ...], Field(min_length=1)]] = Field(
        min_length=1, description="Which models a tier may cost, the cheapest first."
    )
    default_tier: Name = Field(description="Of requests without keys.")
    currency: str = "USD"
    day_limits: dict[Name, Money] = Field(
        default={}, description="What a holder of a key may spend a day (UTC)."
    )
    day_limit: Money | None = Field(default=None, description="Of every other holder.")
    canary: Canary | None = None
    shadow: Shadow | None = None
    events_url: str | None = Field(
        default=None, pattern=r"^https?://[^\s@]+$", description="Of a Prefect server: .../api."
    )
    drift_alpha: float = Field(default=0.001, gt=0, lt=1)
    limits: Limits = Field(default=Limits(), description="Of requests to the router itself.")

    @property
    def longest_seconds(self) -> float:
        """Until every upstream was asked, one after the other."""
        return sum(each.seconds for each in self.upstreams.values())

    @model_validator(mode="after")
    def _names_what_there_is(self) -> "Deployment":
        unknown = sorted({name for name in self._named() if name not in self.upstreams})
        if unknown:
            raise ValueError(f"no such upstream: {', '.join(unknown)}")
        if self.default_tier not in self.tiers:
            raise ValueError(f"default_tier: there are {', '.join(self.tiers)}")
        return self

    def _named(self) -> Iterator[str]:
        for models in self.tiers.values():
            yield from models
        for other in (self.canary, self.shadow):
            if other is not None:
                yield from (other.upstream, other.of)

    def limit_of(self, holder: str) -> float | None:
        """What a holder may spend a day; None: anything."""
        return self.day_limits.get(holder, self.day_limit)


def guess(config: UpstreamConfig, body: Mapping[str, Any]) -> float:
    """About what a request will cost at most, told before it is sent."""
    if not config.by_token:
        return config.price(0, 0)
    longest = body.get("max_completion_tokens") or body.get("max_tokens") or USUAL_TOKENS
    read = len(json.dumps(body)) // CHARACTERS_PER_TOKEN + 1
    return config.price(read, longest * (body.get("n") or 1))


def from_environment() -> Deployment | None:
    """As STILLHOUSE_ROUTER says; None where it is not set.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not valid; names every key that is wrong.
    """
    file = json_file.named(VARIABLE)
    return None if file is None else json_file.read(file, Deployment)
