import pytest
from pydantic import ValidationError

from tasks.fetch.config import Data, Fetch, Weights

SHA = "0" * 64


def test_all_problems_are_found_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        Fetch.model_validate(
            {
                "weights": {"base": {"source": "ftp:x", "sha256": "short", "colour": "red"}},
                "data": {"source": "path:x.csv", "sha256": SHA, "format": "xls"},
            }
        )
    keys = {".".join(map(str, error["loc"])) for error in caught.value.errors()}
    assert keys == {
        "weights.base.source",
        "weights.base.sha256",
        "weights.base.colour",
        "data.format",
    }


def test_a_hash_is_required() -> None:
    with pytest.raises(ValidationError, match="sha256"):
        Weights.model_validate({"source": "path:x"})


def test_a_file_needs_a_format_and_a_hub_data_set_needs_none() -> None:
    with pytest.raises(ValidationError, match="say csv, jsonl or parquet"):
        Data(source="path:rows", sha256=SHA)
    with pytest.raises(ValidationError, match="leave it out"):
        Data(source="hf:org/rows@main", sha256=SHA, format="csv")
    assert Data(source="hf:org/rows@main", sha256=SHA).split == "train"


def test_unknown_encodings_and_repeated_columns_are_refused() -> None:
    with pytest.raises(ValidationError, match="unknown encoding"):
        Data(source="path:x", sha256=SHA, format="csv", encoding="utf-9")
    with pytest.raises(ValidationError, match="must differ"):
        Data(source="path:x", sha256=SHA, format="csv", columns=("a", "a"))
