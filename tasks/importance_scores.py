"""How much each part of a model matters, on disk: `importance` writes it, `prune` reads it.

data/importance/lora/scores.safetensors, of a model with L blocks
    block_influence (L,)        how far a block turns what passes through it
    block_loss      (L,)        loss without the block, in nats per answer token; not always there
    neurons         (L, N)      size of each MLP neuron's activation
    heads           (L, A)      size of each attention head's output
    channels        (2L + 1, H) size of each channel behind a norm: two a block, and the last

Another ratio, or another choice among these, needs no forward pass.
"""

from pathlib import Path
from typing import NamedTuple

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

SCORES = "scores.safetensors"


class Scores(NamedTuple):
    """Importance of the parts of one model; see above for the shapes.

    Attributes:
        of: the candidate that was looked at.
    """

    of: str
    block_influence: Tensor
    block_loss: Tensor | None
    neurons: Tensor
    heads: Tensor
    channels: Tensor


def write(folder: Path, scores: Scores) -> None:
    """Write the scores into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: value.float().contiguous()
        for name, value in scores._asdict().items()
        if isinstance(value, Tensor)
    }
    save_file(tensors, folder / SCORES, metadata={"of": scores.of})


def read(folder: Path) -> Scores:
    """Read what `write` wrote; no model is needed."""
    with safe_open(folder / SCORES, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return Scores(of=file.metadata()["of"], **({"block_loss": None} | tensors))
