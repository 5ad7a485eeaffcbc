"""Which parts are the most important, by stored scores; no model is needed.

kept = most(scores.neurons[block], 768)       # indices, ascending
"""

from typing import assert_never

import torch
from torch import Tensor

from tasks.errors import ModelError
from tasks.importance_scores import Scores
from tasks.prune.config import Blocks


def most(values: Tensor, keep: int) -> Tensor:
    """Indices of the `keep` largest of `values`, ascending; of equals the first."""
    order = torch.sort(values, descending=True, stable=True).indices
    return order[:keep].sort().values


def held(values: Tensor, keep: int) -> float:
    """Mean over rows of `values`: which part of a row's sum its `keep` largest entries are."""
    sums = values.clamp(min=0).sort(descending=True).values.cumsum(-1)
    return float((sums[..., keep - 1] / sums[..., -1]).mean())


def ends(blocks: int, keep: int) -> list[int]:
    """The first blocks and the last."""
    return [*range(keep - 1), blocks - 1]


def blocks(scores: Scores, how: Blocks, keep: int) -> list[int]:
    """Indices of the blocks that stay."""
    if how == "ends":
        return ends(len(scores.block_influence), keep)
    kept: list[int] = most(of_blocks(scores, how), keep).tolist()
    return kept


def of_blocks(scores: Scores, how: Blocks) -> Tensor:
    """Scores of the blocks, (L,).

    Raises:
        ModelError: the losses without each block were not measured.
    """
    match how:
        case "influential" | "ends":
            return scores.block_influence
        case "least_loss":
            if scores.block_loss is None:
                raise ModelError(
                    f"importance of {scores.of} holds no losses for blocks: least_loss; set "
                    "leave_one_out: true there"
                )
            return scores.block_loss
        case _:
            assert_never(how)


def of_groups(scores: Scores, groups: int) -> Tensor:
    """Scores of key/value groups, (L, G): the sum over the query heads that share one."""
    shared: Tensor = scores.heads.unflatten(-1, (groups, -1))  # (L, G, A / G)
    return shared.sum(-1)


def of_channels(scores: Scores, kept: list[int]) -> Tensor:
    """Scores of channels, (H,): the sum over the norms of the blocks `kept` and the last norm."""
    rows = [row for block in kept for row in (2 * block, 2 * block + 1)]
    found: Tensor = scores.channels[[*rows, -1]].sum(0)
    return found
