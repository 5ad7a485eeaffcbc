import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import DataError
from tasks.prepare import clean
from tasks.prepare.clean import Item, OutsideBinsError, Rejected
from tasks.prepare.config import Prepare, Reference

LABELS = ("negative", "positive")
BINS = Reference(column="rating", bins={"negative": (None, -1.0), "positive": (1.0, None)})
CONFIG = Prepare(fields={"text": "text"}, reference=BINS)
AWKWARD = st.text(
    st.sampled_from("a\u0301\u0000\t\n\r \u00a0\u2028\u200b\u2126e\u1100\u1161\ud800")
)


@given(text=st.one_of(st.text(), AWKWARD))
def test_normalizing_twice_changes_nothing(text: str) -> None:
    once = clean.normalize(text)
    assert clean.normalize(once) == once
    assert unicodedata.is_normalized("NFC", once)
    once.encode("utf-8")


def test_blanks_line_ends_and_control_characters_are_plain() -> None:
    assert clean.normalize(" a \u00a0\t b\x00\r\n\r\n\r\n\r\nc \n d ") == "a b\n\nc\nd"
    assert clean.normalize("e\u0301") == "é"
    assert clean.normalize("👩\u200d🔬") == "👩\u200d🔬"


@pytest.mark.parametrize(
    ("rating", "label"),
    [("-1.01", "negative"), (-3, "negative"), ("1", "positive"), (2.5, "positive")],
)
def test_bins_hold_their_lower_bound(rating: object, label: str) -> None:
    assert clean.label(rating, BINS) == (label, None)


@pytest.mark.parametrize("rating", [0, "-1.0", 0.99])
def test_numbers_between_the_bins_are_left_out(rating: object) -> None:
    with pytest.raises(OutsideBinsError):
        clean.label(rating, BINS)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": "a", "rating": "high"}, "rating is not a number"),
        ({"text": "a", "rating": "nan"}, "rating is not a number"),
        ({"text": "a", "rating": " "}, "no rating"),
        ({"text": "a"}, "no rating"),
        ({"text": " \n", "rating": "2"}, "empty text"),
        ({"text": None, "rating": "2"}, "no text"),
    ],
)
def test_rows_that_cannot_be_used_have_a_reason(row: dict[str, object], reason: str) -> None:
    found = clean.item({"_row": 7, **row}, CONFIG, LABELS)
    assert isinstance(found, Rejected)
    assert (found.row, found.reason) == (7, reason)


def test_a_mapping_names_labels_and_rejects_the_rest() -> None:
    mapping = Reference(column="stars", mapping={"1": "negative", "5": "positive"})
    assert clean.label(5, mapping) == ("positive", None)
    assert clean.label("3", mapping) == ("", "stars is not in prepare.reference.mapping")


def test_labels_outside_the_task_are_rejected() -> None:
    plain = Prepare(fields={"text": "text"}, reference=Reference(column="label"))
    found = clean.item({"_row": 1, "text": "a", "label": "mixed"}, plain, LABELS)
    assert isinstance(found, Rejected)
    assert found.reason == "label is not in task.labels"


def test_equal_inputs_have_equal_ids_and_groups_come_from_their_column() -> None:
    grouped = CONFIG.model_copy(update={"group_column": "film"})
    rows = [
        {"_row": 1, "text": "a  b", "rating": 2, "film": 7},
        {"_row": 2, "text": "a b", "rating": 2},
    ]
    first, second = (clean.item(row, CONFIG, LABELS) for row in rows)
    assert isinstance(first, Item)
    assert isinstance(second, Item)
    assert first.id == second.id == first.group
    found = clean.item(rows[0], grouped, LABELS)
    assert isinstance(found, Item)
    assert found.group == "7"
    lost = clean.item(rows[1], grouped, LABELS)
    assert isinstance(lost, Rejected)
    assert lost.reason == "no film"


def test_missing_columns_are_named_with_those_that_exist() -> None:
    with pytest.raises(
        DataError, match=r"prepare\.reference\.column = rating\. The columns are stars, text"
    ):
        clean.require_columns([{"_row": 1, "text": "a", "stars": 1}], CONFIG, "rows")
    with pytest.raises(DataError, match="no rows"):
        clean.require_columns([], CONFIG, "rows")
