from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from tasks.quantize import layer_errors, reference
from tests.tiny import tiny_model

ROWS = [[(7 * row + 3 * place) % 250 for place in range(20)] for row in range(4)]


@pytest.fixture
def model(tmp_path: Path) -> PreTrainedModel:
    return reference.load(tiny_model(tmp_path, layers=4))


def weights(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def measured(model: PreTrainedModel, changed: dict[str, torch.Tensor]) -> dict[str, Any]:
    return layer_errors.measure(model, changed, ROWS)


def test_exact_weights_have_no_error(model: PreTrainedModel) -> None:
    found = measured(model, weights(model))

    assert max(found["matrices"].values()) < 1e-6
    assert max(block["kl"] for block in found["blocks"].values()) < 1e-9
    assert (found["rows"], found["tokens"]) == (4, 80)


@pytest.mark.parametrize("block", [0, 2, 3])
def test_planted_layer_is_the_most_sensitive(model: PreTrainedModel, block: int) -> None:
    changed = weights(model)
    generator = torch.Generator().manual_seed(0)
    for value in changed.values():
        if value.ndim == 2:
            value += 0.01 * value.std() * torch.randn(value.shape, generator=generator)
    planted = f"model.layers.{block}.mlp.down_proj"
    value = changed[f"{planted}.weight"]
    value += 0.5 * value.std() * torch.randn(value.shape, generator=generator)

    found = measured(model, changed)

    assert found["most_sensitive"][0] == f"model.layers.{block}"
    assert found["worst_matrices"][0] == planted
    assert found["matrices"][planted] == pytest.approx(0.5, rel=0.15)
    errors = {name: part["output_error"] for name, part in found["blocks"].items()}
    del errors[layer_errors.REST]
    assert max(errors, key=lambda name: errors[name]) == f"model.layers.{block}"


def test_blocks_are_blamed_for_their_own_error_alone(model: PreTrainedModel) -> None:
    changed = weights(model)
    changed["model.layers.1.mlp.up_proj.weight"] *= 0.5

    found = measured(model, changed)["blocks"]

    assert found["model.layers.1"]["output_error"] > 0.01
    for name, part in found.items():
        if name != "model.layers.1":
            assert (part["output_error"] or 0) < 1e-6
            assert part["kl"] < 1e-9


def test_scales_that_move_between_neighbours_are_no_error(model: PreTrainedModel) -> None:
    changed = weights(model)
    scale = torch.linspace(0.5, 4, 64)
    changed["model.layers.1.mlp.up_proj.weight"] /= scale[:, None]
    changed["model.layers.1.mlp.down_proj.weight"] *= scale

    found = measured(model, changed)

    assert max(found["matrices"].values()) < 1e-3
    assert found["blocks"]["model.layers.1"]["output_error"] < 1e-5


def test_the_measured_model_is_left_as_it_was(model: PreTrainedModel) -> None:
    before = weights(model)
    measured(model, {name: value * 0.9 for name, value in before.items()})

    after = dict(model.named_parameters())
    assert all(torch.equal(value, after[name]) for name, value in before.items())
