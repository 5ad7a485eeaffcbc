"""Settings of one student.

small: {from: prune/depth16, labels: lora, method: cached_logits, max_steps: 300, batch: 8}
"""

from typing import Literal

from pydantic import Field

from tasks.config import CandidateName, TrainingConfig, VariantName


class DistillConfig(TrainingConfig):
    """A student learns a teacher's stored answers (Hinton et al. 2015, arXiv:1503.02531)."""

    parent: CandidateName = Field(alias="from", description="Candidate to start from.")
    labels: VariantName = Field(description="Variant of label: whose logits to learn.")
    method: Literal["cached_logits"] = Field(default="cached_logits", description="What to learn.")
    temperature: float = Field(default=2.0, gt=0, le=20, description="Softens both distributions.")
    kl_weight: float = Field(default=0.67, ge=0, le=1, description="Share of the teacher's loss.")
    chat_template: str | None = Field(
        default=None,
        min_length=1,
        description="Jinja chat template that the student is trained and served with, where a "
        "shorter one than its parent's will do: a student needs no instructions.",
    )
    train_embeddings: bool = Field(
        default=False, description="Also train the embedding; a small student does well without."
    )
