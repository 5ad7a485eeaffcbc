from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from tasks.errors import ModelError
from tasks.quantize import compressed_tensors, layer_errors, reference
from tasks.quantize.config import QuantizeConfig
from tests.tiny import tiny_model

ROWS = [[(7 * row + 3 * place) % 250 for place in range(24)] for row in range(16)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("trained"), layers=2)


def made(parent: Path, child: Path, scheme: str, corrections: list[str]) -> Path:
    told = {"from": "fetch/base", "format": "compressed_tensors", "scheme": scheme}
    told |= {"corrections": corrections} | ({"group_size": 32} if scheme == "w4a16" else {})
    compressed_tensors.convert(parent, child, QuantizeConfig.model_validate(told), ROWS)
    return child


def lost(trained: Path, folder: Path) -> float:
    """Relative error of the logits through the stock loader."""
    original = reference.load(trained)
    stock = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = torch.tensor(ROWS)
    with torch.inference_mode():
        a, b = original(ids).logits, stock(ids).logits
    return float((a - b).norm() / a.norm())


@pytest.mark.parametrize(
    ("scheme", "corrections", "most"),
    [
        ("w8a8", [], 0.1),
        ("w8a8", ["smoothquant"], 0.1),
        ("w8a8", ["smoothquant", "gptq"], 0.1),
        ("w4a16", [], 0.5),
        ("w4a16", ["gptq"], 0.5),
        pytest.param("w4a16", ["awq"], 0.5, marks=pytest.mark.gpu),
        ("fp8", [], 0.25),
    ],
)
def test_stock_transformers_loads_every_scheme(
    trained: Path, tmp_path: Path, scheme: str, corrections: list[str], most: float
) -> None:
    folder = made(trained, tmp_path / "child", scheme, corrections)

    assert 0 < lost(trained, folder) < most
    assert (folder / "chat_template.jinja").is_file()
    whole = (trained / "model.safetensors").stat().st_size
    assert (folder / "model.safetensors").stat().st_size < whole * 0.7


def test_restored_weights_are_those_of_the_file(trained: Path, tmp_path: Path) -> None:
    folder = made(trained, tmp_path / "child", "w4a16", ["gptq"])

    found = layer_errors.measure(
        reference.load(trained), compressed_tensors.restored(folder), ROWS[:4]
    )

    matrices = found["matrices"]
    assert isinstance(matrices, dict)
    # Four bits keep each matrix to about a tenth; the output matrix is left alone.
    assert matrices["lm_head"] < 1e-5
    assert all(0.01 < value < 0.25 for name, value in matrices.items() if name != "lm_head")


@pytest.mark.skipif(torch.accelerator.is_available(), reason="AWQ works where there is a GPU")
def test_awq_without_a_gpu_is_refused_with_a_remedy(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="needs a GPU and there is none here; use gptq"):
        made(trained, tmp_path / "child", "w4a16", ["awq"])


def test_calibration_by_gptq_loses_less_on_its_rows(trained: Path, tmp_path: Path) -> None:
    plain = made(trained, tmp_path / "plain", "w4a16", [])
    told = made(trained, tmp_path / "gptq", "w4a16", ["gptq"])

    assert lost(trained, told) < lost(trained, plain)
