from typing import Any

import pytest
from pydantic import ValidationError

from tasks.quantize.config import QuantizeConfig


def read(**told: Any) -> QuantizeConfig:
    return QuantizeConfig.model_validate({"from": "distill/small", **told})


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, "needs 32, 8 or 4"),
        ({"bits": 8, "scheme": "q8_0"}, "openvino has bits instead"),
        ({"format": "gguf", "scheme": "w8a8"}, "gguf has q8_0, q5_1"),
        ({"format": "gguf", "bits": 8, "scheme": "q8_0"}, "bits: only openvino reads it"),
        ({"format": "gguf", "scheme": "q8_0", "kv_cache": "u8"}, "kv_cache: only openvino"),
        ({"format": "gguf", "scheme": "q8_0", "corrections": ["awq"]}, "there can be none"),
        ({"bits": 4, "corrections": ["smoothquant"]}, "there can be awq, gptq, scale_estimation"),
        (
            {"format": "compressed_tensors", "scheme": "w4a16", "corrections": ["awq", "gptq"]},
            "there can be awq or gptq",
        ),
    ],
)
def test_settings_that_the_format_does_not_read_are_refused(
    told: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ValidationError, match=expected):
        read(**told)


@pytest.mark.parametrize(
    ("told", "calibrated"),
    [
        ({"bits": 8}, False),
        ({"bits": 4}, False),
        ({"bits": 4, "corrections": ["awq"]}, True),
        ({"bits": 4, "int4_ratio": 0.8}, False),
        ({"bits": 4, "int4_ratio": 0.8, "sensitivity": "hessian_input_activation"}, True),
        ({"format": "compressed_tensors", "scheme": "w8a8"}, False),
        ({"format": "compressed_tensors", "scheme": "w8a8", "corrections": ["gptq"]}, True),
    ],
)
def test_only_what_looks_at_data_is_calibrated(told: dict[str, Any], calibrated: bool) -> None:
    assert read(**told).calibrated == calibrated


def test_written_settings_are_read_back() -> None:
    config = read(format="gguf", scheme="q4_0")
    assert QuantizeConfig.model_validate(config.model_dump(by_alias=True)) == config
