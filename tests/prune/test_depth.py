"""Depth pruning on a tiny model."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from tasks import paths
from tasks.errors import ConfigError
from tasks.prune import depth
from tasks.prune.config import PruneConfig
from tests.tiny import tiny_data, tiny_model


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    tiny_data()
    return tiny_model(paths.candidate("fetch/base"), layers=4)


def config(keep: int) -> PruneConfig:
    return PruneConfig.model_validate(
        {"from": "fetch/base", "method": "depth", "keep_layers": keep, "calibration_rows": 8}
    )


def test_pruned_model_loads_with_stock_classes_and_has_shrunk(base: Path) -> None:
    report = depth.prune("prune/two", config(2))
    pruned = AutoModelForCausalLM.from_pretrained(paths.candidate("prune/two"))
    assert pruned.config.num_hidden_layers == len(pruned.model.layers) == 2
    assert report["parameters_after"] == pruned.num_parameters() < report["parameters_before"]
    weights = "model.safetensors"
    assert (paths.candidate("prune/two") / weights).stat().st_size < (base / weights).stat().st_size


def test_block_that_does_nothing_goes_first(base: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(base)
    idle = model.model.layers[2]
    with torch.no_grad():
        idle.self_attn.o_proj.weight.zero_()
        idle.mlp.down_proj.weight.zero_()
    model.save_pretrained(base)
    report = depth.prune("prune/three", config(3))
    assert report["block_influence"][2] == pytest.approx(0, abs=1e-6)
    assert report["kept_blocks"] == [0, 1, 3]


def test_removing_an_idle_block_changes_no_logit(base: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(base)
    with torch.no_grad():
        model.model.layers[1].self_attn.o_proj.weight.zero_()
        model.model.layers[1].mlp.down_proj.weight.zero_()
    ids = torch.randint(0, 200, (2, 9))
    before = model(ids).logits
    depth.keep_blocks(model, [0, 2, 3])
    assert torch.allclose(model(ids, use_cache=True).logits, before, atol=1e-5)


def test_ends_are_the_first_blocks_and_the_last(base: Path) -> None:
    ends = config(2).model_copy(update={"blocks": "ends"})
    assert depth.prune("prune/ends", ends)["kept_blocks"] == [0, 3]


@pytest.mark.parametrize("keep", [4, 9])
def test_keeping_every_block_is_refused(base: Path, keep: int) -> None:
    with pytest.raises(ConfigError, match="has 4 blocks; keep fewer"):
        depth.prune("prune/all", config(keep))


def test_depth_without_a_number_of_blocks_is_refused() -> None:
    with pytest.raises(ValueError, match="method depth needs keep_layers"):
        PruneConfig.model_validate({"from": "fetch/base", "method": "depth"})
