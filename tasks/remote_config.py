"""A model behind an OpenAI-compatible API: where it is and what it costs.

remote:
  teacher: {base_url: "https://api.example.com/v1", model: large, api_key_env: TEACHER_KEY,
            price_per_million_input_tokens: 2.5, price_per_million_output_tokens: 10}
"""

from typing import Literal

from pydantic import Field

from tasks.config import Config


class RemoteConfig(Config):
    """Where the model is, and what it costs in the currency of evaluate.measure."""

    base_url: str = Field(pattern=r"^https?://", description="Of the API, up to /v1.")
    model: str = Field(min_length=1, description="Its name there.")
    api_key_env: str | None = Field(
        default=None,
        pattern=r"^[A-Z][A-Z0-9_]*$",
        description="Environment variable that holds the key; none where no key is asked for.",
    )
    price_per_million_input_tokens: float = Field(gt=0, description="As the provider asks.")
    price_per_million_output_tokens: float = Field(gt=0, description="As the provider asks.")
    role: Literal["teacher", "baseline"] = Field(
        default="teacher", description="teacher: the one that all must match; baseline: shown only."
    )
    rows: int | None = Field(default=None, ge=1, description="Validation rows; all when null.")
    concurrency: int = Field(default=8, ge=1, le=256, description="Requests in flight.")
    requests_per_minute: int | None = Field(
        default=None, ge=1, description="What the provider allows; no limit when null."
    )

    def price(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Of one request."""
        read = prompt_tokens * self.price_per_million_input_tokens
        return (read + completion_tokens * self.price_per_million_output_tokens) / 1_000_000
