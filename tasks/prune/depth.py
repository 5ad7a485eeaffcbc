"""Fewer blocks: `python -m tasks.prune depth16`.

Those stay that turn what passes through them the most, or without which the loss is highest. Where
so many go that the result must be healed by training anyway, the first blocks and the last heal
better than influential ones that were never neighbours, and no scores are needed. Either way the
result is a shorter model of the same architecture.
"""

from typing import Any

from tasks.prune import ranking, surgery, variant
from tasks.prune.config import PruneConfig


def prune(name: str, config: PruneConfig) -> dict[str, Any]:
    """Keep `keep_layers` blocks of the parent.

    Returns:
        which blocks stay, and sizes in parameters.

    Raises:
        ConfigError: the parent has no more blocks than are to stay.
    """
    model = variant.load(config)
    layers, keep = model.config.num_hidden_layers, config.keep_layers or 0
    variant.require_fewer(name, config, "keep_layers", layers, "blocks")
    held = {}
    if config.importance is None:
        kept = ranking.ends(layers, keep)
    else:
        scores = variant.scores_of(config, model)
        kept = ranking.blocks(scores, config.blocks, keep)
        held = {"blocks": ranking.held(ranking.of_blocks(scores, config.blocks), keep)}
    before = model.num_parameters()
    surgery.keep_blocks(model, kept)
    variant.save(name, config, model)
    return {
        **variant.told(name, config),
        "blocks": config.blocks,
        "importance_held": held,
        "kept_blocks": kept,
        "parameters_before": before,
        "parameters_after": model.num_parameters(),
    }
