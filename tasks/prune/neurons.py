"""Fewer MLP neurons, as many in every block: `python -m tasks.prune narrow`.

Those whose activation is the largest on calibration rows stay (Minitron, Muralidharan et al. 2024,
arXiv:2407.14679).
"""

from typing import Any

from tasks.prune import ranking, surgery, variant
from tasks.prune.config import PruneConfig


def prune(name: str, config: PruneConfig) -> dict[str, Any]:
    """Keep `keep_neurons` neurons of every block of the parent; returns what stays.

    Raises:
        ConfigError: the parent has no more neurons than are to stay.
    """
    opened = variant.opened(name, config)
    keep = config.keep_neurons or 0
    variant.require_fewer(name, config, "keep_neurons", opened.sizes.neurons, "neurons a block")
    scores = opened.scores.neurons  # (L, N)
    kept = surgery.whole(opened.model)._replace(
        neurons=[ranking.most(block, keep) for block in scores]
    )
    return variant.written(opened, kept, {"neurons": ranking.held(scores, keep)})
