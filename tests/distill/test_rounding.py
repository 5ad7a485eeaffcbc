"""Students that learn with weights of 4 bits."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks import paths
from tasks.distill import cached_logits, rounding
from tasks.distill.config import DistillConfig
from tasks.errors import ModelError
from tasks.label.config import LabelConfig
from tasks.label.top_logits import label
from tasks.quantize import openvino_ir, reference
from tasks.quantize.config import QuantizeConfig
from tests.tiny import TASK, tiny_data, tiny_model

GROUP = 16


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny"), layers=2)


@given(seed=st.integers(0, 999), scale=st.sampled_from([1e-4, 0.02, 30.0]))
def test_rounding_twice_changes_nothing_and_moves_no_weight_by_more_than_a_step(
    seed: int, scale: float
) -> None:
    weight = torch.randn(4, 3 * GROUP, generator=torch.Generator().manual_seed(seed)) * scale
    once = rounding.rounded_weights(weight, GROUP)
    assert torch.allclose(rounding.rounded_weights(once, GROUP), once, rtol=1e-5, atol=0)
    steps = weight.unflatten(-1, (-1, GROUP)).abs().amax(-1) / 8
    moved = (once - weight).abs().unflatten(-1, (-1, GROUP)).amax(-1)
    assert (moved <= steps * 1.001).all()
    assert all(len(group.unique()) <= 16 for group in once.unflatten(-1, (-1, GROUP)).flatten(0, 1))


def test_a_group_of_zeros_stays_zero() -> None:
    assert not rounding.rounded_weights(torch.zeros(2, GROUP), GROUP).any()


def test_rounded_weights_are_those_that_the_engine_gets(tiny: Path, tmp_path: Path) -> None:
    config = QuantizeConfig.model_validate({"from": "distill/a", "bits": 4, "group_size": GROUP})
    openvino_ir.convert(tiny, tmp_path / "int4", config)
    engine = openvino_ir.restored(tmp_path / "int4")
    weights = dict(reference.load(tiny).named_parameters())
    names = [name for name in engine if ".layers." in name and weights[name].ndim == 2]
    assert len(names) == 2 * 7
    for name in names:
        ours = rounding.rounded_weights(weights[name], GROUP)
        # The engine keeps scales in 16 bits.
        assert torch.allclose(engine[name].reshape(ours.shape), ours, rtol=1e-3, atol=1e-4), name


def test_gradients_pass_as_if_nothing_were_rounded(tiny: Path) -> None:
    model = reference.load(tiny)
    rounding.round_blocks(model, GROUP)
    part = model.get_submodule("model.layers.0.mlp.up_proj")
    weight = model.get_parameter("model.layers.0.mlp.up_proj.weight")
    given = torch.randn(3, weight.shape[1])
    part(given).sum().backward()
    assert weight.grad is not None
    assert torch.allclose(weight.grad, given.sum(0).expand_as(weight))


def test_settled_weights_compute_what_was_learned_with(tiny: Path) -> None:
    model = reference.load(tiny)
    rounding.round_blocks(model, GROUP)
    ids = torch.arange(12)[None]
    with torch.inference_mode():
        learned = model(ids).logits
        rounding.settle(model)
        assert torch.allclose(model(ids).logits, learned, atol=1e-5)
    weight = model.get_parameter("model.layers.1.self_attn.q_proj.weight")
    assert len(weight[0, :GROUP].unique()) <= 16


def test_a_group_that_divides_no_matrix_is_refused(tiny: Path) -> None:
    with pytest.raises(ModelError, match="int4_group_size = 48 does not divide the 32 inputs of"):
        rounding.round_blocks(reference.load(tiny), 48)


def test_a_student_that_learned_rounded_loses_less_in_four_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_data(train=16)
    tiny_model(paths.candidate("prune/small"), layers=1)
    tiny_model(paths.candidate("finetune/lora"), layers=2)
    labelled = LabelConfig.model_validate({"teacher": "finetune/lora", "rows": 16, "top_k": 8})
    label(paths.labels("teacher"), labelled, TASK)
    int4 = QuantizeConfig.model_validate({"from": "distill/a", "bits": 4, "group_size": GROUP})
    told = {"from": "prune/small", "labels": "teacher", "max_steps": 8, "batch": 4}
    told |= {"checkpoints": 2, "validation_rows": 8, "learning_rate": 0.01}
    lost = {}
    for name, also in {"plain": {}, "aware": {"int4_group_size": GROUP}}.items():
        config = DistillConfig.model_validate(told | also)
        report = cached_logits.distill(f"distill/{name}", config)
        curve = [p["validation_loss"] for p in report["curve"] if "validation_loss" in p]
        assert curve[-1] < curve[0]
        folder = paths.candidate(f"distill/{name}")
        openvino_ir.convert(folder, tmp_path / name, int4)
        weights = {n: w.detach() for n, w in reference.load(folder).named_parameters()}
        engine = openvino_ir.restored(tmp_path / name)
        blocks = [n for n in engine if ".layers." in n]
        lost[name] = max(
            float((engine[n].reshape(weights[n].shape) - weights[n]).norm() / weights[n].norm())
            for n in blocks
        )
    assert lost["aware"] < 0.001 < 0.02 < lost["plain"]
