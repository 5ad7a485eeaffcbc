"""Settings of one pruned variant.

depth24: {from: finetune/lora, method: depth, keep_layers: 24, calibration_rows: 128}
"""

from typing import Literal

from pydantic import Field

from tasks.config import CandidateName, Config


class PruneConfig(Config):
    """What to take out of a model, and how to tell what it can spare."""

    parent: CandidateName = Field(alias="from", description="Candidate to prune.")
    method: Literal["depth"] = Field(description="What goes: whole transformer blocks.")
    keep_layers: int = Field(ge=1, description="Blocks that stay.")
    blocks: Literal["influential", "ends"] = Field(
        default="influential",
        description="Which stay: those of the highest influence, or the first ones and the last.",
    )
    calibration_rows: int = Field(
        default=128, ge=1, description="Training rows that are looked at."
    )
    batch: int = Field(default=16, ge=1, description="Rows in one forward pass.")
