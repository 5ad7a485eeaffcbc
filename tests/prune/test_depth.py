"""Depth pruning on a tiny model."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from tasks import importance_scores, paths
from tasks.errors import ConfigError
from tasks.prune import depth, surgery
from tasks.prune.config import PruneConfig
from tests.prune.scored import pruned, scored_base


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return scored_base()


def ends(keep: int) -> PruneConfig:
    return PruneConfig.model_validate(
        {"from": "fetch/base", "method": "depth", "keep_layers": keep, "blocks": "ends"}
    )


@pytest.mark.parametrize(
    ("blocks", "scores"), [("influential", "block_influence"), ("least_loss", "block_loss")]
)
def test_blocks_of_the_highest_scores_stay(base: Path, blocks: str, scores: str) -> None:
    told = getattr(importance_scores.read(paths.importance("base")), scores)
    report = pruned("depth", keep_layers=3, blocks=blocks)
    assert report["kept_blocks"] == sorted({0, 1, 2, 3} - {int(told.argmin())})


def test_removing_an_idle_block_changes_no_logit(base: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(base)
    with torch.no_grad():
        model.model.layers[1].self_attn.o_proj.weight.zero_()
        model.model.layers[1].mlp.down_proj.weight.zero_()
    ids = torch.randint(0, 200, (2, 9))
    before = model(ids).logits
    surgery.keep_blocks(model, [0, 2, 3])
    assert torch.allclose(model(ids, use_cache=True).logits, before, atol=1e-5)


def test_ends_are_the_first_blocks_and_the_last_and_need_no_scores(base: Path) -> None:
    report = depth.prune("prune/ends", ends(2))
    assert report["kept_blocks"] == [0, 3]
    assert report["importance_held"] == {}
    assert (
        len(AutoModelForCausalLM.from_pretrained(paths.candidate("prune/ends")).model.layers) == 2
    )


@pytest.mark.parametrize("keep", [4, 9])
def test_keeping_every_block_is_refused(base: Path, keep: int) -> None:
    with pytest.raises(ConfigError, match="has 4 blocks; keep fewer"):
        depth.prune("prune/all", ends(keep))
