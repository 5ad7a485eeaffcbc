import json
from collections.abc import Mapping
from pathlib import Path

import datasets
import pyarrow
import pytest
from pyarrow import parquet

from tasks.errors import DataError, FetchError, HashMismatchError
from tasks.fetch import data
from tasks.fetch.config import Data
from tests.fetch.conftest import sha256


def config(path: Path, **options: object) -> Data:
    """A local file with the right hash."""
    digest = sha256(path.read_bytes())
    return Data.model_validate({"source": f"path:{path}", "sha256": digest, **options})


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_tab_separated_rows_without_header_and_with_quotation_marks(checkout: Path) -> None:
    file = checkout / "rows.txt"
    file.write_bytes('1\t-1.5\tA "dull film\r\n2\t2.5\tcaf\xe9'.encode("latin-1"))
    names = ["id", "rating", "text"]
    report = data.fetch(
        config(
            file, format="csv", delimiter="\t", quoting="none", encoding="latin-1", columns=names
        )
    )
    assert lines(checkout / "data/raw/records.jsonl") == [
        {"_row": 1, "id": "1", "rating": "-1.5", "text": 'A "dull film'},
        {"_row": 2, "id": "2", "rating": "2.5", "text": "café"},
    ]
    assert (report["rows"], report["quarantined"], report["columns"]) == (2, 0, sorted(names))


def test_corrupt_csv_rows_are_set_aside_with_number_and_reason(checkout: Path) -> None:
    file = checkout / "rows.csv"
    file.write_bytes(b'text,label\n"two\nlines",a\nonly one\n\xff\xfe,b\n\nlast,c\n')
    report = data.fetch(config(file, format="csv"))
    assert [row["_row"] for row in lines(checkout / "data/raw/records.jsonl")] == [1, 5]
    assert [(r["row"], r["reason"]) for r in lines(checkout / "data/raw/quarantine.jsonl")] == [
        (2, "1 columns instead of 2"),
        (3, "not utf-8"),
    ]
    assert report["quarantine_reasons"] == {"1 columns instead of 2": 1, "not utf-8": 1}


def test_corrupt_json_lines_are_set_aside_with_number_and_reason(checkout: Path) -> None:
    file = checkout / "rows.jsonl"
    file.write_bytes(
        b'{"text": "a", "n": NaN}\n{"text": \n[1]\n\n{"text": "\xff"}\n{"t": "\\ud800x"}\n'
    )
    data.fetch(config(file, format="jsonl"))
    assert lines(checkout / "data/raw/records.jsonl") == [
        {"_row": 1, "text": "a", "n": None},
        {"_row": 6, "t": "?x"},
    ]
    found = [
        (r["row"], str(r["reason"])[:8]) for r in lines(checkout / "data/raw/quarantine.jsonl")
    ]
    assert found == [(2, "not JSON"), (3, "not a JS"), (5, "not utf-")]


def test_parquet_rows_keep_their_types(checkout: Path) -> None:
    file = checkout / "rows.parquet"
    parquet.write_table(pyarrow.table({"text": ["a", None], "n": [1.5, 2.0]}), file)
    data.fetch(config(file, format="parquet"))
    assert lines(checkout / "data/raw/records.jsonl") == [
        {"_row": 1, "text": "a", "n": 1.5},
        {"_row": 2, "text": None, "n": 2.0},
    ]
    (checkout / "bad.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="not readable as Parquet"):
        data.fetch(config(checkout / "bad.parquet", format="parquet"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty|no header"),
        ("text,label\n", "the data set is empty"),
        ("text,label\na;b\n", "none of its 1 rows .* mend format, delimiter"),
        ("a,a\n1,2\n", "no header with one name a column"),
        ("_row,text\n1,2\n", "_row is taken"),
    ],
)
def test_data_without_a_usable_row_is_an_error(content: str, message: str, checkout: Path) -> None:
    (checkout / "rows.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        data.fetch(config(checkout / "rows.csv", format="csv"))


def test_a_wrong_hash_stops_before_reading(checkout: Path) -> None:
    (checkout / "rows.csv").write_text("text\na\n")
    wrong = Data(source="path:rows.csv", sha256="0" * 64, format="csv")
    with pytest.raises(HashMismatchError):
        data.fetch(wrong)
    assert not (checkout / "data/raw/records.jsonl").exists()


def hub_rows(monkeypatch: pytest.MonkeyPatch, rows: list[Mapping[str, object]]) -> None:
    """Let `datasets` find these rows under any name."""
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: datasets.Dataset.from_list(rows))


def test_a_hub_data_set_is_pinned_by_the_hash_of_its_rows(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub_rows(monkeypatch, [{"text": "a", "label": 1}, {"text": "b", "label": 0}])
    wrong = Data(source="hf:org/rows@main", sha256="0" * 64)
    with pytest.raises(HashMismatchError) as caught:
        data.fetch(wrong)
    actual = str(caught.value).split("got ")[1][:64]
    report = data.fetch(Data(source="hf:org/rows@main", sha256=actual))
    assert (report["rows"], report["records_sha256"]) == (2, actual)


def test_a_hub_data_set_out_of_reach_names_the_remedy(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(FetchError, match=r"no route; check the network.*path:"):
        data.fetch(Data(source="hf:org/rows@main", sha256="0" * 64))
