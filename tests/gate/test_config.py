"""Limits outside their bounds are refused."""

import pytest
from pydantic import ValidationError

from tasks.gate.config import GateConfig


@pytest.mark.parametrize(
    "change",
    [
        {"margin": 0.0},
        {"margin": 0.6},
        {"max_cost_ratio": 0.0},
        {"min_pass_probability": 0.4},
        {"confidence": 1.0},
        {"cost_references": ["a", "a"]},
        {"tolerance": 0.1},
    ],
)
def test_a_value_out_of_bounds_is_refused(change: dict[str, object]) -> None:
    good = {"teacher": "lora-fp32", "margin": 0.03, "max_cost_ratio": 0.1667}
    GateConfig.model_validate(good)
    with pytest.raises(ValidationError):
        GateConfig.model_validate({**good, **change})
