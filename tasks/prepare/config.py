"""How raw rows become training, validation and locked test records.

prepare:
  fields: {text: text}
  reference: {column: rating, bins: {negative: [null, -1.0], positive: [1.0, null]}}
  pii: {action: mask}
  split: {validation: 0.1, test: 0.2, salt: stillhouse}
  max_test: 1500

Rows of whole conversations have `messages: <column>` in place of `fields`.
"""

import math
from datetime import UTC, datetime
from itertools import pairwise
from typing import Annotated, Literal, get_args

from pydantic import Field, StringConstraints, field_validator, model_validator

from tasks.config import Config

Bounds = tuple[float | None, float | None]

Entity = Literal[
    "EMAIL_ADDRESS", "PHONE_NUMBER", "CREDIT_CARD", "IBAN_CODE", "IP_ADDRESS", "US_SSN"
]
"""Personal data that are found, by Presidio's names."""

ENTITIES: tuple[Entity, ...] = get_args(Entity)


class Reference(Config):
    """Where the wanted answer stands and what it is called."""

    column: str | None = Field(
        default=None,
        min_length=1,
        description="Raw column; none where the last message of a conversation is the answer.",
    )
    bins: dict[str, Bounds] | None = Field(
        default=None,
        description="Label by number: [low, high] holds low <= x < high; null is no bound. Rows "
        "in no bin are left out and counted.",
    )
    mapping: dict[str, str] | None = Field(
        default=None, description="Label by raw value, as text. Without it the value is the label."
    )

    @field_validator("bins")
    @classmethod
    def _bins_do_not_overlap(cls, value: dict[str, Bounds] | None) -> dict[str, Bounds] | None:
        spans = sorted(
            (
                -math.inf if low is None else low,
                math.inf if high is None else high,
                label,
            )
            for label, (low, high) in (value or {}).items()
        )
        for low, high, label in spans:
            if not low < high:
                raise ValueError(f"bin {label}: the lower bound must be below the upper one")
        for (_, high, left), (low, _, right) in pairwise(spans):
            if low < high:
                raise ValueError(f"bins {left} and {right} overlap; move a bound")
        return value

    @model_validator(mode="after")
    def _one_way_to_a_label(self) -> "Reference":
        if self.bins is not None and self.mapping is not None:
            raise ValueError("give bins or mapping, not both")
        return self

    @property
    def shown(self) -> str:
        """What reasons call it."""
        return self.column or "the last message"

    @property
    def lacking(self) -> str:
        """The reason where there is none."""
        return (
            f"no {self.column}" if self.column else "the conversation does not end with an answer"
        )


class Pii(Config):
    """Personal data in requests, answers, groups and metadata."""

    entities: tuple[Entity, ...] = Field(
        default=ENTITIES, min_length=1, description="What is looked for."
    )
    action: Literal["mask", "drop", "keep"] = Field(
        default="mask",
        description="mask puts <ENTITY> in its place, drop quarantines the row, keep only counts.",
    )
    phone_regions: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")], ...] = Field(
        default=("US", "GB", "DE", "FR", "ES", "IT", "IN", "BR"),
        min_length=1,
        description="Countries (ISO 3166) whose numbers are known without a + and a country code.",
    )


class TimeSplit(Config):
    """Logged traffic: what came last is the test. A time without a zone is UTC."""

    column: str = Field(
        min_length=1, description="Raw column: ISO 8601, or seconds since 1970 (UTC)."
    )
    validation_from: datetime = Field(description="First moment of validation.")
    test_from: datetime = Field(description="First moment of the test.")

    @field_validator("validation_from", "test_from")
    @classmethod
    def _zone_is_known(cls, value: datetime) -> datetime:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value

    @model_validator(mode="after")
    def _in_order(self) -> "TimeSplit":
        if not self.validation_from < self.test_from:
            raise ValueError("validation_from must be before test_from")
        return self


class Split(Config):
    """Shares of the groups, or moments; the rest is for training."""

    validation: float = Field(default=0.1, gt=0, lt=1, description="Share of all groups.")
    test: float = Field(default=0.2, gt=0, lt=1, description="Share of all groups, locked.")
    salt: str = Field(
        default="stillhouse", min_length=1, description="Another salt gives another split."
    )
    time: TimeSplit | None = Field(default=None, description="Split by time, not by these shares.")

    @model_validator(mode="after")
    def _something_is_left(self) -> "Split":
        if self.validation + self.test >= 1:
            raise ValueError("validation + test must be below 1; training needs rows too")
        return self


class Prepare(Config):
    """The section `prepare`."""

    fields: dict[str, str] = Field(default={}, description="Raw column of each input field.")
    messages: str | None = Field(
        default=None, min_length=1, description="Raw column of whole conversations."
    )
    tools: str | None = Field(
        default=None,
        min_length=1,
        description="Raw column of a conversation's tools. No workload may have it yet: packaged "
        "services take none.",
    )
    reference: Reference = Field(
        description="The wanted answer; {} where it is the last message of a conversation."
    )
    metadata: dict[str, str] = Field(
        default={}, description="Raw column of each note by which answers are looked at in slices."
    )
    group_column: str | None = Field(
        default=None, description="Rows of one group share a split; by default each text is one."
    )
    pii: Pii | None = Field(default=None, description="None: personal data are not looked for.")
    near_duplicate_similarity: float = Field(
        default=0.75,
        ge=0.5,
        le=1,
        description="Jaccard similarity of the words from which two requests count as one.",
    )
    benchmarks: tuple[str, ...] = Field(
        default=(), description="Files (.jsonl, .csv, .txt) whose texts training must not hold."
    )
    benchmarks_sha256: tuple[str, ...] = Field(
        default=(), description="Of these files, in order; set by a run."
    )
    split: Split = Split()
    max_unlabelled: int = Field(
        default=0,
        ge=0,
        description="Rows without a reference, or in no bin, that are kept for teachers to answer. "
        "Never of groups or times that are for validation or test.",
    )
    max_train: int | None = Field(default=None, ge=1, description="Records kept, by hash.")
    max_validation: int | None = Field(default=600, ge=1, description="Records kept, by hash.")
    max_test: int | None = Field(default=1500, ge=1, description="Records kept, by hash.")
    max_prompt_tokens: int = Field(
        default=512, ge=1, description="Longer prompts go to the quarantine."
    )
    label_noise_rows: int = Field(
        default=20_000, ge=0, description="Training records whose labels are doubted; 0: none."
    )

    @model_validator(mode="after")
    def _one_kind_of_row(self) -> "Prepare":
        if bool(self.fields) == (self.messages is not None):
            raise ValueError("give fields or messages, one of the two")
        if self.messages is None and self.reference.column is None:
            raise ValueError("reference.column: needed where rows hold no conversations")
        if self.messages is None and self.tools is not None:
            raise ValueError("tools: only where rows hold conversations (messages)")
        if self.split.time is not None and self.group_column is not None:
            raise ValueError("group_column: a split by time would part a group; leave one out")
        return self

    def columns(self) -> dict[str, str]:
        """Every raw column that must exist, by the key that names it."""
        found = {f"prepare.fields.{name}": column for name, column in self.fields.items()}
        found |= {f"prepare.metadata.{name}": column for name, column in self.metadata.items()}
        optional = {
            "prepare.messages": self.messages,
            "prepare.tools": self.tools,
            "prepare.reference.column": self.reference.column,
            "prepare.group_column": self.group_column,
            "prepare.split.time.column": self.split.time.column if self.split.time else None,
        }
        return found | {key: column for key, column in optional.items() if column is not None}
