"""What a Bento is told about the model that it serves: serving.json in its model folder.

{"workload": "sentiment", "model_name": "sentiment", "engine": "openvino",
 "input_fields": ["text"], "prompt": {"system": "…", "user": "{text}"},
 "decoding": {"max_new_tokens": 16, "choices": ["negative", "positive"]},
 "facts": {"commit": "…", "candidate": "quantize/small-int8", "quality": 0.91}}
"""

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bentos.generator.decoding import Decoding
from bentos.generator.engine import Kind
from bentos.generator.feedback import FeedbackConfig
from bentos.generator.prompt import PromptTemplate
from bentos.web import json_file
from bentos.web.limits import Limits

FILE = "serving.json"


class Facts(BaseModel):
    """What was measured about the model, and where it comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidate: str | None = None
    commit: str | None = None
    data_hash: str | None = None
    model_hash: str | None = None
    metric: str | None = None
    quality: float | None = None
    cost_per_1000_requests: float | None = None
    teacher_cost_per_1000_requests: float | None = None
    currency: str | None = None

    @property
    def saved_per_request(self) -> float:
        """What an answer costs less than the teacher's, in `currency`; 0 where it is not known."""
        own, teachers = self.cost_per_1000_requests, self.teacher_cost_per_1000_requests
        return 0.0 if own is None or teachers is None else (teachers - own) / 1000


class Serving(BaseModel):
    """One workload's model, prompt and decoding."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    workload: str = Field(min_length=1)
    model_name: str = Field(min_length=1, description="Name of the model in the API.")
    engine: Kind
    input_fields: tuple[str, ...] = Field(
        description="Fields of /predict; none where requests are whole conversations."
    )
    prompt: PromptTemplate | None = Field(description="What the fields of /predict become.")
    decoding: Decoding
    prefix_caching: bool = Field(default=False, description="Keep past prompts' caches.")
    limits: Limits = Limits()
    feedback: FeedbackConfig = FeedbackConfig()
    files: dict[str, str] = Field(
        default={}, description="SHA-256 of the model's files; what is named is checked at start."
    )
    facts: Facts = Facts()

    @model_validator(mode="after")
    def _prompt_uses_input_fields(self) -> "Serving":
        unknown = self.prompt.fields - set(self.input_fields) if self.prompt else set()
        if unknown:
            raise ValueError(f"prompt uses {sorted(unknown)}, which are not in input_fields")
        return self


def read(folder: Path) -> Serving:
    """The serving.json of a model folder.

    Raises:
        FileNotFoundError: the folder has none.
        ValueError: it does not hold what it should.
    """
    return json_file.read(folder / FILE, Serving, "package a candidate to make one")


def verify(serving: Serving, folder: Path) -> None:
    """Check the model's files against what was packaged.

    Raises:
        OSError: one is missing.
        ValueError: some differ; names all of them.
    """
    changed = [name for name, digest in serving.files.items() if sha256(folder / name) != digest]
    if changed:
        raise ValueError(
            f"{folder}: {', '.join(changed)} differ from what was packaged; import the Bento again"
        )


def sha256(file: Path) -> str:
    """Hash of a file's bytes."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def write(serving: Serving, folder: Path) -> None:
    """Write serving.json into a model folder."""
    text = serving.model_dump_json(indent=2) + "\n"
    (folder / FILE).write_text(text, encoding="utf-8")
