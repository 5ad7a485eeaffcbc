"""Fewer channels of the residual stream, the same ones everywhere: `python -m tasks.prune thin`.

Those stay whose values behind the norms are the largest on calibration rows, all norms together
(Minitron, Muralidharan et al. 2024, arXiv:2407.14679).
"""

from typing import Any

from tasks.prune import ranking, surgery, variant
from tasks.prune.config import PruneConfig


def prune(name: str, config: PruneConfig) -> dict[str, Any]:
    """Keep `keep_channels` channels of the parent; returns what stays.

    Raises:
        ConfigError: the parent has no more channels than are to stay, or stock loaders would refuse
            the result.
    """
    opened = variant.opened(name, config)
    keep = config.keep_channels or 0
    variant.require_fewer(name, config, "keep_channels", opened.sizes.channels, "channels")
    variant.require_loadable(opened, "keep_channels", opened.sizes._replace(channels=keep))
    kept = surgery.whole(opened.model)
    scores = ranking.of_channels(opened.scores, kept.blocks)  # (H,)
    kept = kept._replace(channels=ranking.most(scores, keep))
    return variant.written(opened, kept, {"channels": ranking.held(scores, keep)})
