"""What every stage's config.py is made of.

    task:
      kind: classification
      labels: [negative, positive]
      input_fields: [text]
      prompt: {system: "Is this movie review positive or negative?", user: "{text}"}
      metric: accuracy
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from bentos.generator.decoding import Decoding
from bentos.generator.prompt import PromptTemplate

CandidateName = Annotated[str, StringConstraints(pattern=r"^[a-z]+/[a-z0-9][a-z0-9-]*$")]
"""`<stage>/<variant>`, for example `finetune/lora`."""

VariantName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]
"""Name of one variant of a stage, for example `small-int8`."""


class Config(BaseModel):
    """Frozen, and no field goes unread: a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Task(Config):
    """What the model is asked and how its answer is judged."""

    kind: Literal["classification"] = Field(description="Shape of the answer.")
    labels: tuple[str, ...] = Field(min_length=2, description="Every answer there is.")
    input_fields: tuple[str, ...] = Field(min_length=1, description="Fields of a request.")
    prompt: PromptTemplate = Field(description="Messages that a request becomes.")
    metric: Literal["accuracy"] = Field(default="accuracy", description="Quality, 0 to 1.")

    @model_validator(mode="after")
    def _labels_differ(self) -> "Task":
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels must differ from each other")
        return self

    def decoding(self) -> Decoding:
        """Greedy, and only the labels can come out."""
        return Decoding(max_new_tokens=16, choices=self.labels)
