"""Settings of one fine-tuned variant.

lora: {from: fetch/base, rank: 16, max_steps: 240, batch: 8, learning_rate: 5.0e-4}
"""

from pydantic import Field

from tasks.config import CandidateName, TrainingConfig


class FinetuneConfig(TrainingConfig):
    """LoRA on every linear layer of the transformer blocks (Hu et al. 2021, arXiv:2106.09685)."""

    parent: CandidateName = Field(alias="from", description="Candidate to tune.")
    rank: int = Field(default=16, ge=1, le=256, description="Rank of the update.")
    alpha: int = Field(default=32, ge=1, le=512, description="Scale of the update, over rank.")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Dropout on the update's input.")
