import json
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM

from bentos.generator.prompt import Renderer
from tasks import candidate
from tasks.errors import ModelError
from tasks.quantize import openvino_ir, reference
from tasks.quantize.config import QuantizeConfig
from tasks.quantize.parity import parity
from tests.tiny import tiny_model

PROMPTS = [[1, 2, 3], [9, 8, 7, 6, 5, 4], list(range(40))]


def config(bits: int) -> QuantizeConfig:
    return QuantizeConfig.model_validate({"from": "fetch/base", "bits": bits, "group_size": 32})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("trained"), layers=2)


@pytest.fixture(scope="module")
def converted(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folders = {}
    for bits in (32, 8, 4):
        folders[bits] = tmp_path_factory.mktemp(f"bits{bits}")
        openvino_ir.convert(trained, folders[bits], config(bits))
    return folders


def compared(trained: Path, folder: Path) -> dict[str, object]:
    original = reference.next_logits(reference.load(trained))
    return parity(original, openvino_ir.next_logits(folder), PROMPTS, [1, 2])


def test_plain_conversion_computes_the_same(trained: Path, converted: dict[int, Path]) -> None:
    found = compared(trained, converted[32])

    assert found["prompts"] == 3
    assert float(str(found["logit_difference_max"])) < 1e-4
    assert found["top1_agreement"] == found["label_agreement"] == 1.0


def test_fewer_bits_are_smaller_and_less_exact(trained: Path, converted: dict[int, Path]) -> None:
    sizes = [(converted[bits] / "openvino_model.bin").stat().st_size for bits in (32, 8, 4)]
    divergence = [float(str(compared(trained, converted[bits])["kl_mean"])) for bits in (32, 8, 4)]

    assert sizes == sorted(sizes, reverse=True)
    assert sizes[1] < sizes[0] / 3
    assert divergence == sorted(divergence)
    assert divergence[1] < 0.05


def test_answers_of_free_text_have_no_labels_to_agree_on(
    trained: Path, converted: dict[int, Path]
) -> None:
    original = reference.next_logits(reference.load(trained))
    found = parity(original, openvino_ir.next_logits(converted[32]), PROMPTS, [])
    assert found["top1_agreement"] == 1.0
    assert "label_agreement" not in found


def test_group_of_activations_divides_every_input(converted: dict[int, Path]) -> None:
    """The tiny model is 32 wide and 64 between: in groups of 64, half would stay float."""
    told = json.loads((converted[8] / openvino_ir.PROPERTIES).read_text())
    assert told["DYNAMIC_QUANTIZATION_GROUP_SIZE"] == "32"


def test_tied_embeddings_are_stored_once(trained: Path, converted: dict[int, Path]) -> None:
    weights = (trained / "model.safetensors").stat().st_size

    assert (converted[32] / "openvino_model.bin").stat().st_size < weights * 1.05


def test_cached_tokens_count_like_read_ones(converted: dict[int, Path]) -> None:
    model = converted[32] / "openvino_model.xml"
    # Without these the processor's default is a cache in 8 bits, which differs by about 0.05.
    compiled = ov.Core().compile_model(model, "CPU", openvino_ir.EXACT)
    ids = np.array([PROMPTS[1]], dtype=np.int64)

    at_once = logits(compiled.create_infer_request(), ids, past=0)
    request = compiled.create_infer_request()
    stepwise = [logits(request, ids[:, n : n + 1], past=n) for n in range(ids.shape[1])]

    np.testing.assert_allclose(np.concatenate(stepwise, axis=1), at_once, atol=1e-4)


def logits(request: ov.InferRequest, ids: np.ndarray, past: int) -> np.ndarray:
    request.infer(
        {
            "input_ids": ids,
            "attention_mask": np.ones((1, past + ids.shape[1]), dtype=np.int64),
            "position_ids": np.arange(past, past + ids.shape[1], dtype=np.int64)[None],
            "beam_idx": np.zeros(1, dtype=np.int32),
        }
    )
    return np.array(request.get_tensor("logits").data)


def test_folder_holds_all_that_serving_reads(converted: dict[int, Path]) -> None:
    names = {file.name for file in converted[8].iterdir()}

    assert names >= {"config.json", "tokenizer.json", "chat_template.jinja"}
    assert names >= {"generation_config.json", "openvino_tokenizer.xml", "openvino_properties.json"}
    assert "model.safetensors" not in names
    assert Renderer.from_folder(converted[8]).encode("positive")
    assert candidate.served_bytes(converted[8]) == pytest.approx(
        sum(file.stat().st_size for file in converted[8].iterdir())
    )


def test_other_attention_than_full_is_refused() -> None:
    model = Gemma2ForCausalLM(
        Gemma2Config(
            vocab_size=32,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
        )
    )

    with pytest.raises(ModelError, match="full attention in every layer"):
        openvino_ir.to_openvino(model)


# Every row has its own answer, so that calibration sees what is asked.
ROWS = [[(7 * row + 3 * place) % 250 for place in range(24)] for row in range(16)]


def logits_of_weights(folder: Path, trained: Path, ids: list[int]) -> np.ndarray:
    model = reference.load(trained)
    weights = dict(model.named_parameters(remove_duplicate=False))
    with torch.no_grad():
        for name, value in openvino_ir.restored(folder).items():
            weights[name].copy_(value.reshape(weights[name].shape))
    return reference.next_logits(model)(ids)


@pytest.mark.parametrize("bits", [32, 8, 4])
def test_restored_weights_compute_what_the_engine_computes(
    trained: Path, converted: dict[int, Path], bits: int
) -> None:
    exact = {**openvino_ir.EXACT, "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
    compiled = ov.Core().compile_model(converted[bits] / openvino_ir.MODEL, "CPU", exact)
    ids = np.array([PROMPTS[1]], dtype=np.int64)

    served = logits(compiled.create_infer_request(), ids, past=0)[0, -1]

    np.testing.assert_allclose(
        logits_of_weights(converted[bits], trained, PROMPTS[1]), served, atol=2e-3
    )


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with loud channels whose weights are small: rounding to nearest loses them."""
    folder = tiny_model(tmp_path_factory.mktemp("uneven"), layers=2)
    model = reference.load(folder)
    with torch.no_grad():
        for block in model.model.layers:
            block.mlp.up_proj.weight[::16] *= 40
            block.mlp.down_proj.weight[:, ::16] /= 40
    model.save_pretrained(folder)
    return folder


def error(parent: Path, child: Path, corrections: list[str]) -> float:
    told = {"from": "fetch/base", "bits": 4, "group_size": 32, "corrections": corrections}
    openvino_ir.convert(parent, child, QuantizeConfig.model_validate(told), ROWS)
    original = reference.next_logits(reference.load(parent))
    found = parity(original, openvino_ir.next_logits(child), ROWS, [1, 2])
    return float(str(found["kl_mean"]))


def test_corrections_that_look_at_data_lose_less(uneven: Path, tmp_path: Path) -> None:
    plain = error(uneven, tmp_path / "plain", [])

    assert error(uneven, tmp_path / "awq", ["awq"]) < plain * 0.75
    assert error(uneven, tmp_path / "all", ["awq", "scale_estimation", "gptq"]) < plain * 0.75


def test_sensitive_matrices_keep_eight_bits(uneven: Path, tmp_path: Path) -> None:
    told = {"from": "fetch/base", "bits": 4, "group_size": 32, "int4_ratio": 0.5}
    told |= {"sensitivity": "max_activation_variance"}

    openvino_ir.convert(uneven, tmp_path, QuantizeConfig.model_validate(told), ROWS)

    types = {
        node.get_friendly_name(): str(node.get_element_type())
        for node in ov.Core().read_model(tmp_path / openvino_ir.MODEL).get_ops()
        if node.get_type_name() == "Constant" and node.get_friendly_name().endswith("proj.weight")
    }
    loud = [kind for name, kind in types.items() if "down_proj" in name]
    assert set(loud) == {"<Type: 'uint8_t'>"}
    assert "<Type: 'int4_t'>" in types.values()


@pytest.mark.parametrize(
    ("asked", "told"), [("f32", "float32"), ("u8", "uint8_t"), ("u4", "uint4_t")]
)
def test_cache_precision_travels_to_the_engine(
    trained: Path, tmp_path: Path, asked: str, told: str
) -> None:
    config = QuantizeConfig.model_validate({"from": "fetch/base", "bits": 8, "kv_cache": asked})
    openvino_ir.convert(trained, tmp_path, config)
    properties = json.loads((tmp_path / openvino_ir.PROPERTIES).read_text())

    compiled = ov.Core().compile_model(tmp_path / openvino_ir.MODEL, "CPU", properties)

    assert told in str(compiled.get_property("KV_CACHE_PRECISION"))


def test_group_that_leaves_a_rest_is_refused(trained: Path, tmp_path: Path) -> None:
    told = QuantizeConfig.model_validate({"from": "fetch/base", "bits": 4, "group_size": 64})
    with pytest.raises(ModelError, match=r"group_size = 64 .*32 inputs of .*set one of \[32, 16\]"):
        openvino_ir.convert(trained, tmp_path, told)
