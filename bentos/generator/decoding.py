"""How an answer is drawn from the model.

Decoding(max_new_tokens=16, choices=("negative", "positive"))
"""

from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

MAX_STOPS: Final = 16
LEAST: Final = 1e-3
"""Of temperature and top-p; less draws the same token, and may be zero to an engine."""


def _felt(value: float) -> float:
    return max(value, LEAST) if value > 0 else value


Text = Annotated[str, StringConstraints(min_length=1)]
Felt = Annotated[float, AfterValidator(_felt)]


class Decoding(BaseModel):
    """Settings of one answer; greedy unless a temperature is given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_new_tokens: int = Field(default=256, ge=1, le=32768, description="Longest answer, tokens.")
    temperature: Felt = Field(
        default=0.0, ge=0.0, le=2.0, description="0 takes the likeliest token."
    )
    top_p: Felt = Field(
        default=1.0, gt=0.0, le=1.0, description="Share of probability sampled from."
    )
    seed: int | None = Field(
        default=None, ge=0, lt=2**63, description="Makes sampling repeatable; random without."
    )
    stop: tuple[Text, ...] = Field(
        default=(), max_length=MAX_STOPS, description="Texts that end the answer, left out of it."
    )
    choices: tuple[Text, ...] | None = Field(
        default=None, min_length=1, description="The only answers there are."
    )
    json_schema: Text | None = Field(
        default=None, description="JSON Schema, as JSON, that the answer fits."
    )
    logprobs: bool = Field(
        default=False, description="Tell each token's log-probability among all tokens."
    )
    beams: int = Field(
        default=1, ge=1, le=8, description="Beginnings kept at each token; 1 keeps the likeliest."
    )

    @model_validator(mode="after")
    def _choices_differ(self) -> "Decoding":
        if self.choices is not None and len(set(self.choices)) != len(self.choices):
            raise ValueError("choices must differ from each other")
        if self.choices is not None and self.stop:
            raise ValueError("choices end by themselves: leave stop empty")
        if self.choices is not None and self.json_schema is not None:
            raise ValueError("an answer is one of choices or fits a schema, not both")
        return self

    @model_validator(mode="after")
    def _beams_search_free_text(self) -> "Decoding":
        held = self.temperature > 0 or self.choices or self.json_schema or self.logprobs
        if self.beams > 1 and held:
            raise ValueError(
                "beams are for answers that are not drawn, held to choices or a schema, or scored"
            )
        return self
