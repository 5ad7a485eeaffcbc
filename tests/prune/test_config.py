"""What a variant of prune may say."""

from typing import Any

import pytest
from pydantic import ValidationError

from tasks.prune.config import PruneConfig


def config(**settings: Any) -> PruneConfig:
    return PruneConfig.model_validate({"from": "fetch/base", **settings})


@pytest.mark.parametrize("method", ["unstructured", "2:4"])
def test_sparsity_that_no_engine_here_gains_from_is_refused_with_a_way_out(method: str) -> None:
    with pytest.raises(ValidationError, match=rf"{method}: zeros scattered.*Take out whole parts"):
        config(method=method, importance="base")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"method": "depth", "blocks": "ends"}, "method depth needs keep_layers"),
        ({"method": "combined", "importance": "base"}, "needs to_parameters or to_latency"),
        (
            {
                "method": "combined",
                "importance": "base",
                "to_parameters": 0.5,
                "to_latency": 0.5,
            },
            "needs to_parameters or to_latency",
        ),
        ({"method": "neurons", "keep_neurons": 8}, "needs importance: name a variant"),
        ({"method": "depth", "keep_layers": 2}, "blocks: influential needs importance"),
        (
            {"method": "depth", "keep_layers": 2, "blocks": "ends", "importance": "base"},
            "asks for no importance",
        ),
        ({"method": "vocabulary", "importance": "base"}, "asks for no importance"),
        (
            {"method": "heads", "keep_groups": 1, "keep_layers": 2, "importance": "base"},
            "keep_layers is for method depth",
        ),
        (
            {"method": "heads", "keep_groups": 1, "blocks": "ends", "importance": "base"},
            "blocks is for depth, combined",
        ),
    ],
)
def test_settings_that_do_not_fit_the_method_are_refused(
    settings: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ValidationError, match=expected):
        config(**settings)


def test_dvc_is_told_what_a_variant_reads() -> None:
    narrow = config(method="neurons", keep_neurons=8, importance="base")
    assert narrow.reads == "data/importance/base"
    assert config(method="vocabulary").reads == "data/prepared/train.jsonl"
    again = PruneConfig.model_validate(narrow.model_dump(by_alias=True) | {"importance": "another"})
    assert again.reads == "data/importance/another"
