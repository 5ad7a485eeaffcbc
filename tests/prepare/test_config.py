import pytest
from pydantic import ValidationError

from tasks.prepare.config import Prepare, Reference, Split


def test_defaults_are_enough_beside_fields_and_reference() -> None:
    config = Prepare.model_validate({"fields": {"text": "t"}, "reference": {"column": "label"}})
    assert (config.max_test, config.split.test, config.near_duplicate_similarity) == (
        1500,
        0.2,
        0.8,
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
