"""Prices from rates, their ratio with its interval, and when a saving pays."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import ledger

PRICES = st.lists(st.floats(1e-6, 1e3), min_size=2, max_size=6)


def test_price_is_the_machines_price_divided_by_what_it_answers() -> None:
    # 100 requests/s are 360,000 an hour, for 0.36.
    assert ledger.per_1000([100.0, 50.0], 0.36) == pytest.approx([0.001, 0.002])


def test_price_of_tokens_follows_from_tokens_per_request() -> None:
    tokens = ledger.per_million_tokens([0.001, 0.003], tokens_per_request=40)
    assert tokens is not None
    assert tokens.value == pytest.approx(0.002 / 1000 / 40 * 1e6)
    assert ledger.per_million_tokens([0.001], 0) is None


@given(PRICES, PRICES, st.floats(0.01, 100))
def test_ratio_does_not_depend_on_the_currency(
    one: list[float], other: list[float], rate: float
) -> None:
    here = ledger.ratio(one, other)
    abroad = ledger.ratio([price * rate for price in one], [price * rate for price in other])
    assert abroad.value == pytest.approx(here.value)
    assert here.low is not None
    assert here.high is not None
    assert here.low <= here.value <= here.high


def test_interval_of_the_ratio_holds_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    held = 0
    for _ in range(1000):
        one = 0.5 * generator.lognormal(0, 0.05, 3)
        other = generator.lognormal(0, 0.10, 3)
        found = ledger.ratio(list(one), list(other))
        held += (
            (found.low or math.inf) <= 0.5 * math.exp(0.05**2 / 2 - 0.1**2 / 2) <= (found.high or 0)
        )
    assert held >= 930


def test_a_single_repeat_tells_no_interval() -> None:
    assert ledger.ratio([1.0], [2.0, 2.1]) == (pytest.approx(1 / 2.05), None, None)


def test_prices_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="each above 0"):
        ledger.ratio([0.0], [1.0])


@given(st.floats(0, 1e6), st.floats(1e-6, 1e3))
def test_break_even_is_the_first_request_that_pays(one_time: float, saving: float) -> None:
    requests = ledger.break_even(one_time, saving)
    assert requests is not None
    assert requests * saving / 1000 >= one_time * (1 - 1e-9)
    assert (requests - 1) * saving / 1000 <= one_time * (1 + 1e-9)


@pytest.mark.parametrize("saving", [0.0, -0.1])
def test_without_a_saving_nothing_is_paid_back(saving: float) -> None:
    assert ledger.break_even(1.0, saving) is None


def test_machine_price_counts_every_stage() -> None:
    assert ledger.machine_price({"finetune/lora": 1800, "label/lora": 1800}, 0.5) == 0.5
