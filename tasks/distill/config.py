"""Settings of one student.

    small: {from: prune/depth12, labels: lora, method: cached_logits, max_steps: 240, batch: 16}
"""

from typing import Literal

from pydantic import Field

from tasks.config import CandidateName, Config, VariantName


class DistillConfig(Config):
    """A student learns a teacher's stored answers (Hinton et al. 2015, arXiv:1503.02531)."""

    parent: CandidateName = Field(alias="from", description="Candidate to start from.")
    labels: VariantName = Field(description="Variant of label: whose logits to learn.")
    method: Literal["cached_logits"] = Field(default="cached_logits", description="What to learn.")
    temperature: float = Field(default=2.0, gt=0, le=20, description="Softens both distributions.")
    kl_weight: float = Field(default=0.67, ge=0, le=1, description="Share of the teacher's loss.")
    learning_rate: float = Field(default=5e-4, gt=0, le=0.1, description="Peak learning rate.")
    warmup_steps: int = Field(default=20, ge=0, description="Steps of rising learning rate.")
    batch: int = Field(default=16, ge=1, description="Examples per optimizer step.")
    max_steps: int = Field(ge=1, description="Optimizer steps.")
    validation_rows: int = Field(default=128, ge=1, description="Rows that pick the checkpoint.")
    checkpoints: int = Field(default=4, ge=1, le=50, description="How many to choose from.")
    train_embeddings: bool = Field(
        default=False, description="Also train the embedding; a small student does well without."
    )
    seed: int = Field(default=0, ge=0, description="Order of data.")

    @property
    def checkpoint_steps(self) -> int:
        """Steps between two checkpoints."""
        return max(1, self.max_steps // self.checkpoints)
