"""What TRL's trainers are told of the job; all else of theirs stays at its default.

SFTConfig(**job(config, scratch), gradient_checkpointing=False)
"""

from pathlib import Path
from typing import Any

import torch

from tasks.config import TrainingConfig


def job(config: TrainingConfig, scratch: Path) -> dict[str, Any]:
    """The same steps, batch and learning rate as ours; nothing is saved or shown on the way."""
    return {
        "output_dir": str(scratch),
        "max_steps": config.max_steps,
        "per_device_train_batch_size": config.batch,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": min(config.warmup_steps, config.max_steps - 1),
        "seed": config.seed,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": not torch.cuda.is_available(),
    }
