"""As many rows through the model at once as memory holds; the gradient stays the whole batch's.

    micro = MicroBatches(model, rows=rows_that_fit(model, loss, widest), checkpointing=False)
    micro.backward(batch, loss)

Where memory turns out too small after all, half as many rows are tried, and with a single row
activations are computed twice instead of kept (Chen et al. 2016, arXiv:1604.06174).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from tasks.batches import Batch, parts
from tasks.errors import ModelError

Loss = Callable[[Batch], Tensor]
"""Mean over the answer tokens of a batch, with its graph."""

SHARE = 0.8
"""Of free memory, what activations may take: others use the machine too."""
BACKWARD = 1.8
"""Peak memory of a step by the activations kept for it; 1.67 was measured (SmolLM2-135M)."""
ADAM_BYTES = 12
"""Of each trained value: its gradient and Adam's two moments, in float32."""
CGROUP = Path("/sys/fs/cgroup")


class MicroBatches:
    """Backward passes over a batch in as large parts as memory holds."""

    def __init__(self, model: Any, rows: int, checkpointing: bool) -> None:
        """`rows` go through `model` at once at first; it is a causal model of transformers."""
        self._model = model
        self.rows, self.checkpointing = rows, False
        if checkpointing:
            self._checkpoint()

    def backward(self, batch: Batch, loss: Loss) -> Tensor:
        """Add the gradient of the batch's mean loss to the model's, which is empty before.

        Raises:
            ModelError: not even a single row fits.
        """
        while True:
            try:
                return self._backward(batch, loss)
            except RuntimeError as error:
                if not should_reduce_batch_size(error):
                    raise
            # Outside of `except`, where nothing holds on to the failed attempt's tensors.
            self._spare(batch)

    def _backward(self, batch: Batch, loss: Loss) -> Tensor:
        total = torch.zeros((), device=batch.input_ids.device)
        for part in parts(batch, self.rows):
            share = loss(part) * (len(part.answers) / len(batch.answers))
            share.backward()
            total += share.detach()
        return total

    def _spare(self, batch: Batch) -> None:
        self._model.zero_grad(set_to_none=True)
        clear_device_cache(garbage_collection=True)
        self.rows = min(self.rows, len(batch.input_ids))
        if self.rows > 1:
            self.rows //= 2
        elif not self.checkpointing:
            self._checkpoint()
        else:
            width = batch.input_ids.shape[1]
            raise ModelError(
                f"out of memory with a single row of {width} tokens and gradient checkpointing: "
                "shorten prompts (prepare.max_prompt_tokens), choose a smaller model or method "
                "lora, or use a machine with more memory"
            )
        told = " with gradient checkpointing" if self.checkpointing else ""
        print(f"out of memory: from here on {self.rows} rows at once{told}", flush=True)

    def _checkpoint(self) -> None:
        self.checkpointing = True
        self._model.gradient_checkpointing_enable({"use_reentrant": False})


def rows_that_fit(model: Any, loss: Loss, widest: Batch) -> int:
    """How many rows can be trained on at once; perhaps none.

    Args:
        model: its weights are there already, what training adds to them is not.
        loss: called on one row and on two.
        widest: a batch that begins with the longest rows there are.
    """
    one = _kept_bytes(model, loss, next(parts(widest, 1)))
    two = _kept_bytes(model, loss, next(parts(widest, 2)))
    each = max(two - one, 1) if len(widest.input_ids) > 1 else one
    trained = sum(value.numel() for value in model.parameters() if value.requires_grad)
    # What one row keeps beyond its own are copies of weights in another precision.
    spent = trained * ADAM_BYTES + (one - each)
    return max(0, int((_free_bytes(widest.input_ids.device) * SHARE - spent) / (each * BACKWARD)))


def _kept_bytes(model: Any, loss: Loss, batch: Batch) -> int:
    """Bytes beside the weights that a forward pass keeps for its backward pass."""
    weights = {value.untyped_storage().data_ptr() for value in model.parameters()}
    sizes: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    # Dropout must not disturb what is drawn in training.
    with torch.random.fork_rng(devices), saved_tensors_hooks(keep, lambda tensor: tensor):
        kept = loss(batch)
    del kept
    return sum(sizes.values())


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = int(psutil.virtual_memory().available)
    try:  # A container may have less than its machine.
        limit = (CGROUP / "memory.max").read_text().strip()
        statistics = (CGROUP / "memory.stat").read_text().split()
    except OSError:
        return free
    taken = int(statistics[statistics.index("anon") + 1])
    return free if limit == "max" else min(free, int(limit) - taken)
