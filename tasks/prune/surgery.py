"""Cut a model to fewer blocks, neurons, heads and channels: `cut(model, kept)`, in place.

Shapes stay alike in every block, so stock loaders read the result. Its logits are those of the
whole model with what went set to zero. For channels that takes care: a norm divides by the root of
the mean square over all H channels, of which K stay, so for exactly the same outputs

    x / sqrt(sum(x²) / H + eps) * weight
  = x / sqrt(sum(x²) / K + eps * H / K) * weight * sqrt(H / K)

the norms' weights and eps are scaled. There is one eps for all norms in config.json, so what goes
into a norm over a head, as Qwen 3 has, is scaled by sqrt(H / K) too: that norm then takes it back.
"""

import copy
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from tasks.errors import ModelError

LINEARS = {  # what a row and what a column of each matrix is
    "self_attn.q_proj": ("heads", "channels"),
    "self_attn.k_proj": ("groups", "channels"),
    "self_attn.v_proj": ("groups", "channels"),
    "self_attn.o_proj": ("channels", "heads"),
    "mlp.gate_proj": ("neurons", "channels"),
    "mlp.up_proj": ("neurons", "channels"),
    "mlp.down_proj": ("channels", "neurons"),
}
NORMS = ("input_layernorm", "post_attention_layernorm")
HEAD_NORMS = {"q_norm": "q_proj", "k_norm": "k_proj"}


class Sizes(NamedTuple):
    """How many of each a model has; neurons and groups in each block.

    Attributes:
        blocks: transformer blocks.
        neurons: of an MLP.
        groups: key/value heads, each with the query heads that share it.
        channels: width of the residual stream.
    """

    blocks: int
    neurons: int
    groups: int
    channels: int


class Kept(NamedTuple):
    """Indices of what stays, ascending; neurons and groups for each block that stays."""

    blocks: list[int]
    neurons: Sequence[Tensor]
    groups: Sequence[Tensor]
    channels: Tensor


def sizes(model: Any) -> Sizes:
    """What a model built like Llama has."""
    config = model.config
    return Sizes(
        config.num_hidden_layers,
        config.intermediate_size,
        config.num_key_value_heads,
        config.hidden_size,
    )


def whole(model: Any) -> Kept:
    """Everything."""
    blocks, neurons, groups, channels = sizes(model)
    return Kept(
        list(range(blocks)),
        [torch.arange(neurons)] * blocks,
        [torch.arange(groups)] * blocks,
        torch.arange(channels),
    )


def cut(model: Any, kept: Kept) -> None:
    """Take out of `model`, in place, all that is not in `kept`.

    Raises:
        ModelError: it is not built like Llama.
    """
    require_llama(model)
    ratio = model.config.hidden_size / len(kept.channels)
    keep_blocks(model, kept.blocks)
    for block, neurons, groups in zip(model.model.layers, kept.neurons, kept.groups, strict=True):
        attention = block.self_attn
        picked = {
            "channels": kept.channels,
            "neurons": neurons,
            "groups": _spread(groups, attention.head_dim),
            "heads": _spread(groups, attention.head_dim * attention.num_key_value_groups),
        }
        for name, (rows, columns) in LINEARS.items():
            _cut_linear(block.get_submodule(name), picked[rows], picked[columns])
        for norm, linear in HEAD_NORMS.items():
            if hasattr(attention, norm):
                _cut_head_norm(getattr(attention, norm), getattr(attention, linear), ratio)
        for name in NORMS:
            _cut_norm(block.get_submodule(name), kept.channels, ratio)
    _cut_norm(model.model.norm, kept.channels, ratio)
    _cut_embeddings(model, kept.channels)
    _tell_config(model, kept, ratio)


def keep_blocks(model: Any, kept: list[int]) -> None:
    """Shorten `model` in place to the blocks `kept`, of whatever kind they are."""
    model.model.layers = nn.ModuleList(model.model.layers[block] for block in kept)
    for position, block in enumerate(model.model.layers):
        block.self_attn.layer_idx = position
    _shorten(model.config, kept)


def resized(model: Any, wanted: Sizes) -> Any:
    """What config.json says once `model` is cut to `wanted`, its norms aside."""
    config = copy.deepcopy(model.config)
    _shorten(config, list(range(wanted.blocks)))
    _narrow(config, model.model.layers[0].self_attn, wanted)
    return config


def heads(model: Any, wanted: Sizes) -> int:
    """Query heads of a block once `model` is cut to `wanted`."""
    return wanted.groups * int(model.model.layers[0].self_attn.num_key_value_groups)


def counter(model: Any) -> Callable[[Sizes], int]:
    """A function that tells how many parameters `model` has once it is cut to some sizes."""
    has = sizes(model)._asdict()
    has["heads"] = has["groups"]  # one goes with the other
    terms: Counter[tuple[str, ...]] = Counter()  # parameters for one of each axis
    in_blocks = 0
    for name, part in model.model.layers[0].named_parameters():
        module, _, kind = name.rpartition(".")
        axes = LINEARS.get(module, ("channels",) if module in NORMS else ())
        axes = axes[:1] if kind == "bias" else axes
        terms["blocks", *axes] += part.numel() // math.prod(has[axis] for axis in axes)
        in_blocks += part.numel() * has["blocks"]
    terms["channels",] += (model.num_parameters() - in_blocks) // has["channels"]

    def count(wanted: Sizes) -> int:
        left = wanted._asdict()
        left["heads"] = left["groups"]
        return sum(each * math.prod(left[axis] for axis in axes) for axes, each in terms.items())

    return count


def require_llama(model: Any) -> None:
    """Only what is known to be cut exactly is cut.

    Raises:
        ModelError: some part is missing, or there is one of another kind.
    """
    found = [_strange(block) for block in model.model.layers]
    found.append(_strange_norm("model.norm", model.model.norm))
    problem = next((each for each in found if each), None)
    if problem or not hasattr(model.config, "rms_norm_eps"):
        raise ModelError(
            f"{type(model).__name__}: {problem or 'config.json has no rms_norm_eps'}: only models "
            "built like Llama, Qwen or Mistral can be made narrower. Prune this one by depth"
        )


def _strange(block: nn.Module) -> str | None:
    """What a block has too many or too few of."""
    linears = {n for n, part in block.named_modules() if isinstance(part, nn.Linear)}
    weighted = {name.rpartition(".")[0] for name, _ in block.named_parameters()}
    head_norms = {f"self_attn.{name}" for name in HEAD_NORMS} & weighted
    if linears != set(LINEARS) or weighted - linears - head_norms != set(NORMS):
        unlike = sorted(weighted ^ {*LINEARS, *NORMS, *head_norms})
        return f"its blocks differ in {', '.join(unlike)}"
    for name in head_norms:
        width = block.get_submodule(name).weight.shape
        if width != (block.get_submodule("self_attn").head_dim,):
            return f"{name} is over all heads"
    return next((p for n in NORMS if (p := _strange_norm(n, block.get_submodule(n)))), None)


def _strange_norm(name: str, norm: Any) -> str | None:
    """Llama's norms, and those copied from it, call their eps so; others add 1 to the weight."""
    plain = hasattr(norm, "variance_epsilon") and getattr(norm, "bias", None) is None
    return None if plain else f"{name} is a {type(norm).__name__}"


def _spread(groups: Tensor, width: int) -> Tensor:
    """Rows of the groups, where each has `width` of them, one after the other."""
    return (groups[:, None] * width + torch.arange(width)).flatten()


def _cut_linear(linear: nn.Linear, rows: Tensor, columns: Tensor) -> None:
    linear.weight = nn.Parameter(linear.weight.detach()[rows][:, columns].contiguous())
    if linear.bias is not None:
        linear.bias = nn.Parameter(linear.bias.detach()[rows])
    linear.out_features, linear.in_features = len(rows), len(columns)


def _cut_norm(norm: Any, channels: Tensor, ratio: float) -> None:
    norm.weight = nn.Parameter(norm.weight.detach()[channels] * math.sqrt(ratio))
    norm.variance_epsilon *= ratio


def _cut_head_norm(norm: Any, before: nn.Linear, ratio: float) -> None:
    norm.variance_epsilon *= ratio
    with torch.no_grad():
        for part in before.parameters():
            part.mul_(math.sqrt(ratio))


def _cut_embeddings(model: Any, channels: Tensor) -> None:
    embedding, output = model.get_input_embeddings(), model.get_output_embeddings()
    tied = output.weight is embedding.weight
    embedding.weight = nn.Parameter(embedding.weight.detach()[:, channels].contiguous())
    embedding.embedding_dim = output.in_features = len(channels)
    output.weight = (
        embedding.weight if tied else nn.Parameter(output.weight.detach()[:, channels].contiguous())
    )


def _tell_config(model: Any, kept: Kept, ratio: float) -> None:
    first = (len(kept.neurons[0]), len(kept.groups[0]), len(kept.channels))
    _narrow(model.config, model.model.layers[0].self_attn, Sizes(len(kept.blocks), *first))
    model.config.rms_norm_eps *= ratio


def _shorten(config: Any, kept: list[int]) -> None:
    config.num_hidden_layers = len(kept)
    kinds = getattr(config, "layer_types", None)
    if kinds is not None:
        config.layer_types = [kinds[block] for block in kept]


def _narrow(config: Any, attention: Any, wanted: Sizes) -> None:
    # Loaders would otherwise divide the new width by the new number of heads.
    config.head_dim = attention.head_dim
    config.num_key_value_heads = wanted.groups
    config.num_attention_heads = wanted.groups * attention.num_key_value_groups
    config.intermediate_size = wanted.neurons
    config.hidden_size = wanted.channels
