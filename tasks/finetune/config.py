"""Settings of one fine-tuned variant.

    lora: {from: fetch/base, rank: 16, max_steps: 240, batch: 8, learning_rate: 5.0e-4}
"""

from pydantic import Field

from tasks.config import CandidateName, Config


class FinetuneConfig(Config):
    """LoRA on every linear layer of the transformer blocks (Hu et al. 2021, arXiv:2106.09685)."""

    parent: CandidateName = Field(alias="from", description="Candidate to tune.")
    rank: int = Field(default=16, ge=1, le=256, description="Rank of the update.")
    alpha: int = Field(default=32, ge=1, le=512, description="Scale of the update, over rank.")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Dropout on the update's input.")
    learning_rate: float = Field(default=5e-4, gt=0, le=0.1, description="Peak learning rate.")
    warmup_steps: int = Field(default=10, ge=0, description="Steps of rising learning rate.")
    batch: int = Field(default=8, ge=1, description="Examples per optimizer step.")
    max_steps: int = Field(ge=1, description="Optimizer steps.")
    validation_rows: int = Field(default=128, ge=1, description="Rows that pick the checkpoint.")
    checkpoints: int = Field(default=4, ge=1, le=50, description="How many to choose from.")
    seed: int = Field(default=0, ge=0, description="Order of data and initial update.")

    @property
    def checkpoint_steps(self) -> int:
        """Steps between two checkpoints."""
        return max(1, self.max_steps // self.checkpoints)
