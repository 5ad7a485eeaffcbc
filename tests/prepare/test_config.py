import pytest
from pydantic import ValidationError

from tasks.prepare.config import Prepare, Reference, Split, TimeSplit


def test_defaults_are_enough_beside_fields_and_reference() -> None:
    config = Prepare.model_validate({"fields": {"text": "t"}, "reference": {"column": "label"}})
    assert (config.max_test, config.split.test, config.near_duplicate_similarity) == (
        1500,
        0.2,
        0.75,
    )


def test_bins_that_overlap_or_are_empty_are_refused() -> None:
    with pytest.raises(ValidationError, match="bins low and high overlap"):
        Reference(column="r", bins={"low": (None, 1.0), "high": (0.5, None)})
    with pytest.raises(ValidationError, match="lower bound must be below"):
        Reference(column="r", bins={"low": (1.0, 1.0)})
    assert Reference(column="r", bins={"low": (None, 0.0), "high": (0.0, None)}).bins


def test_two_ways_to_a_label_are_refused() -> None:
    with pytest.raises(ValidationError, match="not both"):
        Reference(column="r", bins={"a": (None, 0.0)}, mapping={"1": "a"})


def test_something_must_be_left_for_training() -> None:
    with pytest.raises(ValidationError, match="must be below 1"):
        Split(validation=0.5, test=0.5)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"reference": {"column": "l"}}, "give fields or messages"),
        ({"fields": {"a": "b"}, "messages": "m"}, "give fields or messages"),
        ({"fields": {"a": "b"}, "reference": {}}, "reference.column: needed"),
        ({"fields": {"a": "b"}, "reference": {"column": "l"}, "tools": "t"}, "tools: only where"),
        ({"messages": "m", "pii": {"entities": ["NAME"]}}, "Input should be 'EMAIL_ADDRESS'"),
        ({"messages": "m", "near_duplicate_similarity": 0.4}, "greater than or equal to 0.5"),
        (
            {
                "messages": "m",
                "group_column": "g",
                "split": {
                    "time": {
                        "column": "t",
                        "validation_from": "2026-01-01",
                        "test_from": "2026-02-01",
                    }
                },
            },
            "a split by time would part a group",
        ),
    ],
)
def test_sections_that_contradict_themselves_are_refused(
    section: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        Prepare.model_validate({"reference": {}} | section)


def test_moments_are_in_order_and_in_utc_unless_they_say_more() -> None:
    time = {
        "column": "t",
        "validation_from": "2026-01-01",
        "test_from": "2026-02-01T00:00:00+02:00",
    }
    assert TimeSplit.model_validate(time).validation_from.isoformat() == "2026-01-01T00:00:00+00:00"
    with pytest.raises(ValidationError, match="must be before"):
        TimeSplit.model_validate(time | {"validation_from": "2026-02-01"})


def test_every_column_that_must_exist_is_known_by_its_key() -> None:
    config = Prepare.model_validate(
        {
            "messages": "m",
            "reference": {},
            "tools": "t",
            "metadata": {"film": "f"},
            "group_column": "g",
        }
    )
    assert config.columns() == {
        "prepare.metadata.film": "f",
        "prepare.messages": "m",
        "prepare.tools": "t",
        "prepare.group_column": "g",
    }
