"""Settings of one pruned variant.

depth16: {from: finetune/lora, method: depth, keep_layers: 16, calibration_rows: 128}
small: {from: distill/small, method: vocabulary, keep_tokens: 16384}
"""

from typing import Literal

from pydantic import Field, model_validator

from tasks.config import CandidateName, Config


class PruneConfig(Config):
    """What to take out of a model, and how to tell what it can spare."""

    parent: CandidateName = Field(alias="from", description="Candidate to prune.")
    method: Literal["depth", "vocabulary"] = Field(
        description="What goes: whole transformer blocks, or tokens that the workload never uses."
    )
    keep_layers: int = Field(default=1, ge=1, description="depth: blocks that stay.")
    keep_tokens: int = Field(
        default=16384,
        ge=256,
        description="vocabulary: tokens that stay, more where the training rows use more.",
    )
    blocks: Literal["influential", "ends"] = Field(
        default="influential",
        description="depth: the blocks of highest influence stay, or the first ones and the last.",
    )
    calibration_rows: int = Field(
        default=128, ge=1, description="depth: training rows that are looked at."
    )
    batch: int = Field(default=16, ge=1, description="depth: rows in one forward pass.")

    @model_validator(mode="after")
    def _depth_is_told(self) -> "PruneConfig":
        if self.method == "depth" and "keep_layers" not in self.model_fields_set:
            raise ValueError("method depth needs keep_layers: how many blocks stay")
        return self
