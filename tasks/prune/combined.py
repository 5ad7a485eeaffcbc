"""Depth and width together, to a number of parameters or a latency: `python -m tasks.prune half`.

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

from tasks.errors import ConfigError
from tasks.progress import Progress
from tasks.prune import latency, ranking, surgery, variant
from tasks.prune.config import PruneConfig
from tasks.prune.surgery import Kept, Sizes
from tasks.prune.variant import Opened

HALVINGS = 7
"""Of the range of parameters: to within a hundredth of the parent's."""

Held = Mapping[str, Mapping[int, float]]
"""By axis and number, the share of importance that so many parts hold."""


def prune(name: str, config: PruneConfig) -> dict[str, Any]:
    """Cut the parent to its target; returns the shape and what stays.

    Raises:
        ConfigError: no shape is so small, or so fast.
    """
    opened = variant.opened(name, config)
    held = _held(opened)
    if config.to_latency is None:
        wanted, measured = shape(opened, held), {}
    else:
        wanted, took = _in_time(opened, held, config.to_latency)
        measured = {"latency_share": round(took, 4)}
    scores, groups = opened.scores, ranking.of_groups(opened.scores, opened.sizes.groups)
    blocks = ranking.blocks(scores, config.blocks, wanted.blocks)
    kept = Kept(
        blocks,
        [ranking.most(scores.neurons[block], wanted.neurons) for block in blocks],
        [ranking.most(groups[block], wanted.groups) for block in blocks],
        ranking.most(ranking.of_channels(scores, blocks), wanted.channels),
    )
    stays = {axis: held[axis][count] for axis, count in wanted._asdict().items()}
    return variant.written(opened, kept, stays) | measured


def shape(opened: Opened, held: Held) -> Sizes:
    """The shape within `to_parameters` that loses least importance where it loses most.

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
    found = _best(opened, held, limit)
    if found is None:
        raise _too_small(opened, "to_parameters")
    return found


def _in_time(opened: Opened, held: Held, target: float) -> tuple[Sizes, float]:
    """The largest of the best shapes that takes `target` of the parent's time, and what it takes.

    Time grows with the number of parameters, so that number is halved in on.
    """
    found, progress = None, Progress("prune:latency", HALVINGS)
    low, high = 0.0, float(opened.model.num_parameters())
    for _ in range(HALVINGS):
        limit = (low + high) / 2
        tried = _best(opened, held, limit)
        took = 0.0 if tried is None else latency.share(opened.model, tried)
        progress.advance()
        if took > target:
            high = limit
            continue
        low = limit
        found = found if tried is None else (tried, took)
    if found is None:
        raise _too_small(opened, "to_latency")
    return found


def _too_small(opened: Opened, key: str) -> ConfigError:
    remedy = f"no shape of {', '.join(opened.config.axes)} is so small; ask more, or add axes"
    return variant.problem(opened.name, opened.config, key, remedy)


def _best(opened: Opened, held: Held, limit: float) -> Sizes | None:
    def worth(sizes: Sizes) -> tuple[float, float]:
        shares = [held[axis][count] for axis, count in sizes._asdict().items()]
        return min(shares), math.prod(shares)

    return max(_fitting(opened, held, limit), key=worth, default=None)


def _fitting(opened: Opened, held: Held, limit: float) -> Iterator[Sizes]:
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
