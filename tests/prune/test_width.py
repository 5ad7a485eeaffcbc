"""What holds of every method that takes parts out of a model."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from tasks import candidate, paths
from tasks.errors import ConfigError, ModelError
from tasks.prune import surgery
from tasks.prune.surgery import Kept, Sizes
from tests.prune.scored import CHANNELS, EVERY_METHOD, GROUPS, NEURONS, pruned, scored, scored_base

CLOSE = 1e-4
QUERY_HEADS_IN_A_GROUP = 2
EMBEDDINGS = ("embed_tokens", "lm_head")


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return scored_base()


def stock(name: str) -> Any:
    return AutoModelForCausalLM.from_pretrained(paths.candidate(name)).eval()


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_pruned_model_loads_with_stock_classes_and_its_tensors_have_shrunk(
    base: Path, method: str
) -> None:
    report = pruned(method, **EVERY_METHOD[method])
    name = f"prune/{method}"
    model = stock(name)
    assert report["parameters_after"] == model.num_parameters() < report["parameters_before"]
    weights = "model.safetensors"
    assert (paths.candidate(name) / weights).stat().st_size < (base / weights).stat().st_size
    assert model.config.head_dim == 8
    cached = model.generate(torch.tensor([[5, 6, 7]]), max_new_tokens=4, do_sample=False)
    plain = model.generate(
        torch.tensor([[5, 6, 7]]), max_new_tokens=4, do_sample=False, use_cache=False
    )
    assert torch.equal(cached, plain)


def test_the_right_tensors_shrink(base: Path) -> None:
    pruned("neurons", keep_neurons=48)
    pruned("heads", keep_groups=1)
    pruned("channels", keep_channels=20)
    block = stock("prune/neurons").model.layers[3]
    assert block.mlp.gate_proj.weight.shape == (48, CHANNELS)
    assert block.mlp.down_proj.weight.shape == (CHANNELS, 48)
    attention = stock("prune/heads").model.layers[3].self_attn
    assert attention.q_proj.weight.shape == (16, CHANNELS)
    assert attention.k_proj.weight.shape == attention.v_proj.weight.shape == (8, CHANNELS)
    assert attention.o_proj.weight.shape == (CHANNELS, 16)
    thin = stock("prune/channels")
    assert thin.lm_head.weight.shape[1] == thin.model.norm.weight.shape[0] == 20
    assert thin.lm_head.weight is thin.model.embed_tokens.weight


def random_kept(draw: st.DrawFn, has: Sizes) -> Kept:
    blocks = sorted(draw(st.sets(st.integers(0, has.blocks - 1), min_size=1)))
    neurons = draw(st.integers(1, has.neurons))
    groups = draw(st.integers(1, has.groups))
    heads = groups * QUERY_HEADS_IN_A_GROUP
    channels = heads * draw(st.integers(1, has.channels // heads))
    chance = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))

    def some(of: int, count: int) -> torch.Tensor:
        return torch.randperm(of, generator=chance)[:count].sort().values

    return Kept(
        blocks,
        [some(has.neurons, neurons) for _ in blocks],
        [some(has.groups, groups) for _ in blocks],
        some(has.channels, channels),
    )


def masked(model: Any, kept: Kept) -> Any:
    """The model at full size, with zeros where something is to go; its norms are its own."""
    gone = torch.ones(model.config.hidden_size, dtype=torch.bool)
    gone[kept.channels] = False
    width = model.model.layers[0].self_attn.head_dim * QUERY_HEADS_IN_A_GROUP
    with torch.no_grad():
        model.model.embed_tokens.weight[:, gone] = 0
        for number, block in enumerate(model.model.layers):
            attention_out, mlp_out = block.self_attn.o_proj, block.mlp.down_proj
            if number not in kept.blocks:
                _silence(attention_out)
                _silence(mlp_out)
                continue
            place = kept.blocks.index(number)
            for group in set(range(GROUPS)) - set(kept.groups[place].tolist()):
                attention_out.weight[:, group * width : (group + 1) * width] = 0
            for neuron in set(range(NEURONS)) - set(kept.neurons[place].tolist()):
                mlp_out.weight[:, neuron] = 0
            for linear in (attention_out, mlp_out):
                linear.weight[gone] = 0
                if linear.bias is not None:
                    linear.bias[gone] = 0
    return model


def _silence(linear: nn.Linear) -> None:
    linear.weight.zero_()
    if linear.bias is not None:
        linear.bias.zero_()


SHAPE: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": CHANNELS,
    "intermediate_size": NEURONS,
    "num_hidden_layers": 3,
    "num_attention_heads": GROUPS * QUERY_HEADS_IN_A_GROUP,
    "num_key_value_heads": GROUPS,
    "initializer_range": 0.1,
    "rms_norm_eps": 1e-3,  # large, so that a wrong one shows
}


def made(kind: str) -> Any:
    torch.manual_seed(0)
    model: Any = {
        "llama": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE)),
        "llama, tied": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE, tie_word_embeddings=True)),
        "llama, biases": lambda: LlamaForCausalLM(
            LlamaConfig(**SHAPE, attention_bias=True, mlp_bias=True)
        ),
        "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SHAPE)),
        "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SHAPE, head_dim=8)),
    }[kind]()
    with torch.no_grad():
        for name, part in model.named_parameters():
            if name.endswith("bias") or "norm" in name:
                part.add_(torch.randn_like(part) * 0.3)
    return model.eval()


@pytest.mark.parametrize("kind", ["llama", "llama, tied", "llama, biases", "qwen2", "qwen3"])
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_logits_are_those_of_the_whole_model_with_zeros(
    tmp_path: Path, kind: str, data: st.DataObject
) -> None:
    small, full = made(kind), made(kind)
    kept = data.draw(st.composite(lambda draw: random_kept(draw, surgery.sizes(small)))())
    count = surgery.counter(small)
    surgery.cut(small, kept)
    small.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path).eval()

    ids = torch.arange(2 * 7).reshape(2, 7) % 50
    with torch.inference_mode():
        expected = masked(full, kept)(ids).logits
        for model in (small, loaded):
            assert (model(ids).logits - expected).abs().max() < CLOSE
    assert small.num_parameters() == count(surgery.sizes(small))


def test_the_most_important_parts_stay(base: Path) -> None:
    model = stock("fetch/base")
    with torch.no_grad():  # neurons 10 to 29 of block 1 compute nothing
        model.model.layers[1].mlp.up_proj.weight[10:30] = 0
        model.model.layers[2].self_attn.v_proj.weight[:8] = 0
    model.save_pretrained(base)
    scored()
    pruned("neurons", keep_neurons=44)
    narrow = stock("prune/neurons").model.layers[1].mlp.up_proj.weight
    whole = model.model.layers[1].mlp.up_proj.weight
    assert torch.equal(narrow, torch.cat([whole[:10], whole[30:]]))
    assert pruned("heads", keep_groups=1)["kept_groups"][2] == [1]


def test_another_ratio_needs_no_forward_pass(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    monkeypatch.setattr(nn.Module, "__call__", lambda *_, **__: passes.append(1), raising=True)
    for keep in (8, 16, 48):
        pruned("neurons", keep_neurons=keep)
    for blocks in ("influential", "least_loss"):
        pruned("depth", keep_layers=3, blocks=blocks)
    for share in (0.4, 0.6):
        pruned("combined", to_parameters=share, step=8)
    assert passes == []


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_report_tells_what_stays(base: Path, method: str) -> None:
    report = pruned(method, **EVERY_METHOD[method])
    assert all(0 < share <= 1 for share in report["importance_held"].values())
    assert report["importance_held"]
    if method == "channels":
        assert len(report["kept_channels"]) == report["after"]["channels"] == 16
    lineage = candidate.spent(paths.candidate(f"prune/{method}")).machine_seconds
    assert "importance/base" in lineage


@pytest.mark.parametrize(
    ("method", "settings", "expected"),
    [
        ("neurons", {"keep_neurons": 64}, r"prune.neurons.keep_neurons = 64: .* has 64 neurons"),
        ("heads", {"keep_groups": 2}, "has 2 key/value groups a block; keep fewer"),
        ("channels", {"keep_channels": 32}, "has 32 channels; keep fewer"),
        ("channels", {"keep_channels": 30}, "no multiple of 4 attention heads"),
        ("combined", {"to_parameters": 0.001}, "no shape of .* is so small"),
        ("combined", {"to_parameters": 10**9}, "parameters; ask fewer"),
    ],
)
def test_what_cannot_be_is_refused(
    base: Path, method: str, settings: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ConfigError, match=expected):
        pruned(method, **settings)


def test_scores_of_another_model_are_refused(base: Path) -> None:
    pruned("depth", keep_layers=2)
    model = stock("prune/depth")
    model.save_pretrained(base)
    with pytest.raises(ModelError, match="weighs fetch/base, not fetch/base as it is now"):
        pruned("neurons", keep_neurons=8)


def test_missing_scores_are_told_with_the_command_that_makes_them(base: Path) -> None:
    with pytest.raises(ModelError, match=r"no scores; .*python -m tasks.importance gone"):
        pruned("neurons", keep_neurons=8, importance="gone")


def test_models_that_would_not_be_cut_exactly_are_refused() -> None:
    shape = SHAPE | {"head_dim": 8}
    del shape["rms_norm_eps"]
    model = Gemma2ForCausalLM(Gemma2Config(**shape))
    with pytest.raises(ModelError, match=r"pre_feedforward_layernorm.*Prune this one by depth"):
        surgery.cut(model, surgery.whole(model))
