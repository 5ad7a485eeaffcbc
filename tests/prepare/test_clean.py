import pytest

from tasks.errors import DataError
from tasks.prepare import clean
from tasks.prepare.clean import Item, Rejected
from tasks.prepare.config import Prepare, Reference
from tasks.prepare.pii import Finder
from tests.prepare.conftest import TASK

BINS = Reference(column="rating", bins={"negative": (None, -1.0), "positive": (1.0, None)})
CONFIG = Prepare(fields={"text": "text"}, reference=BINS)


def cleaned(row: dict[str, object], config: Prepare = CONFIG) -> Item | Rejected:
    return clean.item({"_row": 7, **row}, config, TASK, Finder(None))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": "a", "rating": "high"}, "rating is not a number"),
        ({"text": "a"}, "no rating"),
        ({"text": " \n", "rating": "2"}, "empty text"),
        ({"text": None, "rating": "2"}, "no text"),
    ],
)
def test_rows_that_cannot_be_used_have_a_reason(row: dict[str, object], reason: str) -> None:
    assert cleaned(row) == Rejected(7, reason)


def test_equal_inputs_have_equal_ids_and_groups_come_from_their_column() -> None:
    grouped = CONFIG.model_copy(update={"group_column": "film"})
    rows: list[dict[str, object]] = [
        {"text": "a  b", "rating": 2, "film": 7},
        {"text": "a b", "rating": 2},
    ]
    first, second = map(cleaned, rows)
    assert isinstance(first, Item)
    assert isinstance(second, Item)
    assert first.id == second.id == first.group
    found = cleaned(rows[0], grouped)
    assert isinstance(found, Item)
    assert found.group == "7"
    assert cleaned(rows[1], grouped) == Rejected(7, "no film")


def test_metadata_are_copied_as_text() -> None:
    noted = CONFIG.model_copy(update={"metadata": {"film": "f", "year": "y", "no": "n"}})
    found = cleaned({"text": "a", "rating": 2, "f": " A  b", "y": 1999}, noted)
    assert isinstance(found, Item)
    assert found.metadata == {"film": "A b", "year": "1999", "no": ""}


def test_missing_columns_are_named_with_those_that_exist() -> None:
    with pytest.raises(
        DataError, match=r"prepare\.reference\.column = rating\. The columns are stars, text"
    ):
        clean.require_columns(["_row", "text", "stars"], CONFIG, "rows")
    clean.require_columns(["text", "rating"], CONFIG, "rows")
