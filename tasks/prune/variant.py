"""A pruned variant from its parent: what every method begins and ends with.

opened = variant.opened("prune/narrow", config)
return variant.written(opened, kept)
"""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import AutoModelForCausalLM

from tasks import candidate, importance_scores, paths
from tasks.errors import ConfigError, ModelError, Problem
from tasks.importance_scores import SCORES, Scores
from tasks.prune import surgery
from tasks.prune.config import PruneConfig
from tasks.prune.surgery import Kept, Sizes


class Opened(NamedTuple):
    """A parent, and what is known of its parts."""

    name: str
    config: PruneConfig
    model: Any
    scores: Scores
    sizes: Sizes


def opened(name: str, config: PruneConfig) -> Opened:
    """The parent of `name` with its scores.

    Raises:
        ModelError: the scores are those of another model, or it is not built like Llama.
    """
    model = load(config)
    surgery.require_llama(model)
    scores = scores_of(config, model)
    return Opened(name, config, model, scores, surgery.sizes(model))


def load(config: PruneConfig) -> Any:
    """The parent's model, in float32."""
    return AutoModelForCausalLM.from_pretrained(paths.candidate(config.parent), dtype=torch.float32)


def scores_of(config: PruneConfig, model: Any) -> Scores:
    """The scores that `config` names.

    Raises:
        ModelError: there are none, or they are those of another model.
    """
    if not (_scores_folder(config) / SCORES).is_file():
        raise ModelError(
            f"{_scores_folder(config)} holds no scores; make them first: "
            f"python -m tasks.importance {config.importance}"
        )
    scores = importance_scores.read(_scores_folder(config))
    has = (model.config.num_hidden_layers, model.config.hidden_size)
    if scores.of != config.parent or has != (len(scores.neurons), scores.channels.shape[1]):
        raise ModelError(
            f"{_scores_folder(config)} weighs {scores.of}, not {config.parent} as it is now: make "
            "it again, or name another variant of importance"
        )
    return scores


def require_fewer(name: str, config: PruneConfig, key: str, has: int, what: str) -> None:
    """Something must go.

    Raises:
        ConfigError: the parent has no more than are to stay.
    """
    if getattr(config, key) >= has:
        raise problem(name, config, key, f"{config.parent} has {has} {what}; keep fewer")


def require_loadable(opened: Opened, key: str, wanted: Sizes) -> None:
    """Stock loaders want the width to be a multiple of the number of heads.

    Raises:
        ConfigError: it would not be.
    """
    heads = surgery.heads(opened.model, wanted)
    if wanted.channels % heads:
        remedy = (
            f"{wanted.channels} channels are no multiple of {heads} attention heads, and stock "
            "loaders refuse that; choose another number"
        )
        raise problem(opened.name, opened.config, key, remedy)


def problem(name: str, config: PruneConfig, key: str, remedy: str) -> ConfigError:
    """What is wrong with a setting, in the form that all problems have."""
    where = f"{name.replace('/', '.')}.{key}"
    return ConfigError([Problem(str(paths.PARAMS), where, str(getattr(config, key)), remedy)])


def written(opened: Opened, kept: Kept, importance_held: dict[str, float]) -> dict[str, Any]:
    """Cut the model to what is kept, write the variant, and tell what stays."""
    before = opened.model.num_parameters()
    surgery.cut(opened.model, kept)
    save(opened.name, opened.config, opened.model)
    after = surgery.sizes(opened.model)
    what_stays: dict[str, Any] = {}
    if after.blocks < opened.sizes.blocks:
        what_stays["kept_blocks"] = kept.blocks
    if after.groups < opened.sizes.groups:
        what_stays["kept_groups"] = [groups.tolist() for groups in kept.groups]
    if after.channels < opened.sizes.channels:
        what_stays["kept_channels"] = kept.channels.tolist()
    return {
        **told(opened.name, opened.config),
        "before": opened.sizes._asdict(),
        "after": after._asdict(),
        "importance_held": {axis: round(share, 4) for axis, share in importance_held.items()},
        **what_stays,
        "parameters_before": before,
        "parameters_after": opened.model.num_parameters(),
    }


def told(name: str, config: PruneConfig) -> dict[str, Any]:
    """What every report begins with."""
    return {
        "candidate": name,
        "parent": config.parent,
        "method": config.method,
        "importance": config.importance,
    }


def save(name: str, config: PruneConfig, model: Any) -> None:
    """Write weights, tokenizer and lineage."""
    folder = candidate.fresh_folder(name)
    model.save_pretrained(folder)
    candidate.copy_tokenizer(paths.candidate(config.parent), folder)
    data, lessons = paths.TRAIN, {}
    if config.importance is not None:
        data = _scores_folder(config) / SCORES
        lessons = {f"importance/{config.importance}": _scores_folder(config)}
    candidate.write(candidate.describe(name, config.parent, config, data, lessons))


def _scores_folder(config: PruneConfig) -> Path:
    return paths.importance(str(config.importance))
