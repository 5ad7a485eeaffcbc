"""Depth and width together, to a number of parameters: `python -m tasks.prune half`.

Of all shapes that fit, the one that loses least where it loses most: of blocks, neurons, groups and
channels, each held by what stays to some share of its importance, the smallest share is as large as
can be; of equals, the product. That is a guess without a forward pass, to begin a search with;
Minitron trains its likeliest shapes for a while to choose (Muralidharan et al. 2024,
arXiv:2407.14679), which is what the flow `search` does with variants.
"""

import math
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from tasks.prune import ranking, surgery, variant
from tasks.prune.config import PruneConfig
from tasks.prune.surgery import Kept, Sizes
from tasks.prune.variant import Opened


def prune(name: str, config: PruneConfig) -> dict[str, Any]:
    """Cut the parent to `to_parameters`; returns the shape and what stays.

    Raises:
        ConfigError: no shape has so few parameters.
    """
    opened = variant.opened(name, config)
    held = _held(opened)
    wanted = shape(opened, held)
    scores, groups = opened.scores, ranking.of_groups(opened.scores, opened.sizes.groups)
    blocks = ranking.blocks(scores, config.blocks, wanted.blocks)
    kept = Kept(
        blocks,
        [ranking.most(scores.neurons[block], wanted.neurons) for block in blocks],
        [ranking.most(groups[block], wanted.groups) for block in blocks],
        ranking.most(ranking.of_channels(scores, blocks), wanted.channels),
    )
    stays = {axis: held[axis][count] for axis, count in wanted._asdict().items()}
    return variant.written(opened, kept, stays)


def shape(opened: Opened, held: Mapping[str, Mapping[int, float]]) -> Sizes:
    """The shape within the target that loses least importance where it loses most.

    Args:
        opened: the parent.
        held: by axis and number, the share of importance that so many parts hold.

    Raises:
        ConfigError: even the smallest shape is larger.
    """
    target, before = opened.config.to_parameters or 0, opened.model.num_parameters()
    limit = target * before if target < 1 else target
    if limit >= before:
        remedy = f"{opened.config.parent} has {before:,} parameters; ask fewer"
        raise variant.problem(opened.name, opened.config, "to_parameters", remedy)
    fitting = list(_fitting(opened, held, limit))
    if not fitting:
        remedy = f"no shape of {', '.join(opened.config.axes)} is so small; ask more, or add axes"
        raise variant.problem(opened.name, opened.config, "to_parameters", remedy)

    def worth(sizes: Sizes) -> tuple[float, float]:
        shares = [held[axis][count] for axis, count in sizes._asdict().items()]
        return min(shares), math.prod(shares)

    return max(fitting, key=worth)


def _fitting(
    opened: Opened, held: Mapping[str, Mapping[int, float]], limit: float
) -> Iterator[Sizes]:
    """Shapes that fit: for each depth, width and number of heads the one with most neurons."""
    count = surgery.counter(opened.model)
    for blocks, groups, channels in product(held["blocks"], held["groups"], held["channels"]):
        wanted = Sizes(blocks, 0, groups, channels)
        if channels % surgery.heads(opened.model, wanted):
            continue  # stock loaders refuse it
        bare = count(wanted)
        room = (limit - bare) // (count(wanted._replace(neurons=1)) - bare)
        neurons = max((each for each in held["neurons"] if each <= room), default=None)
        if neurons is not None:
            yield wanted._replace(neurons=neurons)


def _held(opened: Opened) -> dict[str, dict[int, float]]:
    """By axis and number, the share of importance that so many parts hold."""
    scores, config = opened.scores, opened.config
    values = {
        "blocks": ranking.of_blocks(scores, config.blocks),
        "neurons": scores.neurons,
        "groups": ranking.of_groups(scores, opened.sizes.groups),
        "channels": ranking.of_channels(scores, list(range(opened.sizes.blocks))),
    }
    return {
        axis: {n: ranking.held(values[axis], n) for n in _numbers(axis, has, config)}
        for axis, has in opened.sizes._asdict().items()
    }


def _numbers(axis: str, has: int, config: PruneConfig) -> list[int]:
    """How many of a kind may stay."""
    if axis not in config.axes:
        return [has]
    step = config.step if axis in {"neurons", "channels"} else 1
    return [*range(step, has, step), has]
