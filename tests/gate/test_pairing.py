"""Answers are compared item by item, and nothing is compared that does not fit."""

import pytest

from tasks.errors import DataError
from tasks.gate.pairing import pair
from tests.gate.made_up import answers


def test_pairs_count_what_only_one_got_right() -> None:
    pairs = pair("teacher", answers(100, range(10)), "small", answers(100, range(4, 20)))
    assert pairs == (4, 10, 100)
    assert pairs.difference == pytest.approx(-0.06)
    assert pairs.discordance == pytest.approx(0.14)


def test_order_does_not_matter() -> None:
    candidate = answers(50, range(5))
    assert pair("teacher", answers(50), "small", candidate[::-1]) == (0, 5, 50)


def test_a_missing_prediction_is_named() -> None:
    with pytest.raises(DataError, match="predictions of small: none for id 0007, which teacher"):
        pair("teacher", answers(9), "small", answers(9)[:7] + answers(9)[8:])


def test_a_prediction_too_many_is_named() -> None:
    with pytest.raises(DataError, match="predictions of teacher: none for id 0009, which small"):
        pair("teacher", answers(9), "small", answers(10))


def test_a_duplicated_prediction_is_named() -> None:
    with pytest.raises(DataError, match="predictions of small: more than one for id 0003"):
        pair("teacher", answers(9), "small", [*answers(9), answers(9)[3]])


def test_different_references_are_named() -> None:
    other = [answers(1)[0].model_copy(update={"reference": "negative"})]
    with pytest.raises(DataError, match="judged by different references at id 0000"):
        pair("teacher", answers(1), "small", other)


def test_no_predictions_at_all_are_named() -> None:
    with pytest.raises(DataError, match="small has no predictions"):
        pair("teacher", answers(1), "small", [])
