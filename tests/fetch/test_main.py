import json
from pathlib import Path

import pytest
import yaml

from tasks.errors import ConfigError, StillhouseError
from tasks.fetch.__main__ import main
from tests.fetch.conftest import sha256


def write_params(folder: Path, **data: object) -> None:
    """A section `fetch` whose data are a local file."""
    weights = {"base": {"source": "path:model.gguf", "sha256": "0" * 64}}
    params = {"fetch": {"weights": weights, "data": data}}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))


def test_data_are_fetched_and_reported(checkout: Path) -> None:
    (checkout / "rows.jsonl").write_text('{"text": "a"}\n')
    digest = sha256((checkout / "rows.jsonl").read_bytes())
    write_params(
        checkout, source="path:rows.jsonl", sha256=digest, format="jsonl", license="CC0-1.0"
    )
    main(["data"])
    report = json.loads((checkout / "data/raw/report.json").read_text())
    assert (report["rows"], report["license"]) == (1, "CC0-1.0")


def test_a_wrong_section_is_refused_with_its_key(checkout: Path) -> None:
    write_params(checkout, source="path:rows.jsonl", sha256="0", format="jsonl")
    with pytest.raises(ConfigError, match=r"params\.yaml: fetch\.data\.sha256"):
        main(["data"])


def test_an_unknown_part_is_answered_with_the_usage(checkout: Path) -> None:
    write_params(checkout, source="path:rows.jsonl", sha256="0" * 64, format="jsonl")
    with pytest.raises(StillhouseError, match=r"weights\|data"):
        main(["everything"])
