"""Fewer attention heads, as many in every block: `python -m tasks.prune few-heads`.

Query heads that share a key and a value go together, so grouped-query attention stays what it is,
and the cache shrinks as much as the matrices. The groups whose heads' outputs are the largest on
calibration rows stay (Minitron, Muralidharan et al. 2024, arXiv:2407.14679).
"""

from typing import Any

from tasks.prune import ranking, surgery, variant
from tasks.prune.config import PruneConfig


def prune(name: str, config: PruneConfig) -> dict[str, Any]:
    """Keep `keep_groups` key/value groups of every block of the parent; returns what stays.

    Raises:
        ConfigError: the parent has no more groups than are to stay, or stock loaders would refuse
            the result.
    """
    opened = variant.opened(name, config)
    keep = config.keep_groups or 0
    has = opened.sizes.groups
    variant.require_fewer(name, config, "keep_groups", has, "key/value groups a block")
    variant.require_loadable(opened, "keep_groups", opened.sizes._replace(groups=keep))
    scores = ranking.of_groups(opened.scores, has)  # (L, G)
    kept = surgery.whole(opened.model)._replace(
        groups=[ranking.most(block, keep) for block in scores]
    )
    return variant.written(opened, kept, {"groups": ranking.held(scores, keep)})
