"""Pruned models are converted to OpenVINO like any other, and compute the same there."""

from pathlib import Path

import pytest

from tasks import paths
from tasks.quantize import openvino_ir, reference
from tasks.quantize.config import QuantizeConfig
from tasks.quantize.parity import parity
from tests.prune.scored import EVERY_METHOD, pruned, scored_base

PROMPTS = [[1, 2, 3], [9, 8, 7, 6, 5, 4], list(range(40))]


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_a_pruned_model_computes_the_same_in_openvino(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scored_base()
    pruned(method, **EVERY_METHOD[method])
    folder, converted = paths.candidate(f"prune/{method}"), tmp_path / "converted"
    config = QuantizeConfig.model_validate({"from": f"prune/{method}", "bits": 32})

    openvino_ir.convert(folder, converted, config)

    original = reference.next_logits(reference.load(folder))
    found = parity(original, openvino_ir.next_logits(converted), PROMPTS, [1, 2])
    assert float(str(found["logit_difference_max"])) < 1e-4
    assert found["top1_agreement"] == 1.0
