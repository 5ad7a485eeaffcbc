import json
from pathlib import Path

import pytest
import yaml

from tasks.errors import ConfigError, ModelError
from tasks.quantize.__main__ import main
from tests.tiny import tiny_data, tiny_model

TASK = {
    "kind": "classification",
    "labels": ["negative", "positive"],
    "input_fields": ["text"],
    "prompt": {"user": "{text}"},
}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    variants = {
        "exact": {"from": "fetch/base", "bits": 32, "parity_rows": 3},
        "small": {
            "from": "fetch/base",
            "bits": 4,
            "group_size": 32,
            "corrections": ["awq"],
            "calibration_rows": 4,
            "error_rows": 2,
            "parity_rows": 2,
        },
        "portable": {"from": "fetch/base", "format": "gguf", "scheme": "q8_0", "parity_rows": 2},
        "odd": {"from": "fetch/base", "bits": 7, "colour": "red"},
        "orphan": {"from": "finetune/none", "bits": 8},
    }
    Path("params.yaml").write_text(yaml.safe_dump({"task": TASK, "quantize": variants}))
    tiny_data()
    return tmp_path


def test_variant_is_made_with_lineage_and_report(checkout: Path) -> None:
    tiny_model(Path("models/fetch/base"), layers=2)

    main(["exact"])

    folder = checkout / "models/quantize/exact"
    report = json.loads((folder / "report.json").read_text())
    lineage = json.loads((folder / "candidate.json").read_text())
    assert (report["bits"], report["parity"]["prompts"]) == (32, 3)
    assert report["parity"]["label_agreement"] == 1.0
    assert report["size_mb"] > 0.2
    assert (lineage["name"], lineage["parent"]) == ("quantize/exact", "fetch/base")


@pytest.mark.parametrize(("variant", "key"), [("small", "bits"), ("portable", "scheme")])
def test_report_names_the_layers_that_matter(checkout: Path, variant: str, key: str) -> None:
    tiny_model(Path("models/fetch/base"), layers=2)

    main([variant])

    report = json.loads((checkout / f"models/quantize/{variant}/report.json").read_text())
    layers = report["layers"]
    assert key in report
    assert set(layers["blocks"]) == {"rest", "model.layers.0", "model.layers.1"}
    assert set(layers["most_sensitive"]) == set(layers["blocks"])
    assert 0 < layers["matrices"]["model.layers.1.mlp.down_proj"] < 0.3


def test_wrong_settings_are_all_named_before_any_work(checkout: Path) -> None:
    with pytest.raises(ConfigError) as error:
        main(["odd"])

    assert [problem.key for problem in error.value.problems] == [
        "quantize.odd.bits",
        "quantize.odd.colour",
    ]
    assert not (checkout / "models/quantize").exists()


def test_missing_parent_is_named(checkout: Path) -> None:
    with pytest.raises(ModelError, match="make finetune/none first"):
        main(["orphan"])
