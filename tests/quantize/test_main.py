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
