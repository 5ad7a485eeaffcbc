"""Settings of one model's importance scores.

lora: {of: finetune/lora, rows: 128}
"""

from pydantic import Field

from tasks.config import CandidateName, Config


class ImportanceConfig(Config):
    """Whose parts are weighed, once, for all that is pruned from it."""

    of: CandidateName = Field(description="Candidate that is to be pruned.")
    rows: int = Field(default=128, ge=1, description="Training rows that it reads, from the first.")
    leave_one_out: bool = Field(
        default=False,
        description="Also the loss without each block, for blocks: least_loss: as many times the "
        "forward passes as there are blocks.",
    )
    batch: int = Field(default=16, ge=1, description="Rows in one forward pass.")
