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


class TrainingConfig(Config):
    """What every training is told: how long, in which steps, and which checkpoint is the best."""

    learning_rate: float = Field(default=2e-4, gt=0, le=0.1, description="Peak learning rate.")
    warmup_steps: int = Field(default=10, ge=0, description="Steps of rising learning rate.")
    batch: int = Field(default=8, ge=1, description="Examples per optimizer step.")
    max_steps: int = Field(ge=1, description="Optimizer steps.")
    validation_rows: int = Field(default=128, ge=1, description="Rows that pick the checkpoint.")
    checkpoints: int = Field(default=4, ge=1, le=50, description="How many to choose from.")
    seed: int = Field(default=0, ge=0, description="Order of data and initial values.")

    @property
    def checkpoint_steps(self) -> int:
        """Steps between two checkpoints."""
        return max(1, self.max_steps // self.checkpoints)
