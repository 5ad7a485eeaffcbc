"""Settings of one teacher's stored logits.

lora: {teacher: finetune/lora, rows: 1600, top_k: 32}
"""

from typing import Literal

from pydantic import Field

from tasks.config import CandidateName, Config


class LabelConfig(Config):
    """What a teacher is asked, once, for all the students that will learn from it."""

    teacher: CandidateName = Field(description="Candidate whose logits are stored.")
    rows: int = Field(ge=1, description="Training rows, from the first.")
    unlabelled: int = Field(
        default=0,
        ge=0,
        description="Rows of prepare.max_unlabelled, from the first, that the teacher answers.",
    )
    top_k: int = Field(default=32, ge=1, le=1024, description="Most likely tokens kept a position.")
    bits: Literal[8, 16] = Field(default=16, description="Of a stored log-probability.")
    batch: int = Field(default=32, ge=1, description="Rows in one forward pass.")
    spelt_by: CandidateName | None = Field(
        default=None,
        description="Weights whose tokenizer the students have, where it may be another one than "
        "the teacher's; set by a run.",
    )
