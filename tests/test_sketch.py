"""How much two sets of records share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.sketch import SIZE, overlap, sketch

IDS = st.sets(st.text(max_size=8), min_size=1, max_size=SIZE // 2)


@given(IDS, IDS)
def test_small_sets_are_compared_exactly(one: set[str], other: set[str]) -> None:
    assert overlap(sketch(one), sketch(other)) == len(one & other) / len(one | other)


@given(st.lists(st.text(max_size=8)))
def test_neither_order_nor_repetition_matters(ids: list[str]) -> None:
    assert sketch(ids) == sketch([*reversed(ids), *ids])


def test_large_sets_are_compared_to_within_a_few_hundredths() -> None:
    one = sketch(str(number) for number in range(1500))
    other = sketch(str(number) for number in range(500, 2000))
    assert overlap(one, other) == pytest.approx(0.5, abs=0.15)
    assert overlap(one, sketch(str(number) for number in range(1500, 3000))) == 0


def test_an_unknown_set_shares_nothing() -> None:
    assert overlap((), sketch(["a"])) == 0
