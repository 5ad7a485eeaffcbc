"""Rates that are looked at after every event."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos.router.sequential import Rate, outside, worse


def rate(hits: int, count: int) -> Rate:
    return Rate(hits, count)


@given(count=st.integers(1, 5000), share=st.floats(0, 1))
def test_bounds_hold_what_was_seen(count: int, share: float) -> None:
    hits = round(share * count)
    low, high = rate(hits, count).bounds(0.05)
    assert 0 <= low <= hits / count <= high <= 1


def test_nothing_seen_says_nothing() -> None:
    assert Rate().bounds(0.05) == (0, 1)
    assert Rate().value == 0


def test_bounds_narrow() -> None:
    widths = [
        high - low for low, high in (rate(n // 10, n).bounds(0.05) for n in (10, 100, 10_000))
    ]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.03


def test_looking_after_every_event_seldom_misleads() -> None:
    rng = np.random.default_rng(0)
    misled = 0
    for _ in range(200):
        seen, expected = Rate(), rate(int(rng.binomial(150, 0.2)), 150).bounds(0.025)
        for hit in rng.random(300) < 0.2:
            seen.add(bool(hit))
            if outside(seen, expected, alpha=0.025):
                misled += 1
                break
    # Of 200 with at most 5%, more than 19 are met once in a hundred times.
    assert misled <= 19


@pytest.mark.parametrize(("new", "shown"), [(0.1, False), (0.5, True)])
def test_what_is_worse_is_shown(new: float, shown: bool) -> None:
    old = rate(100, 1000)
    assert worse(rate(round(new * 200), 200), old, alpha=0.01) is shown
    assert not worse(old, rate(round(new * 200), 200), alpha=0.01)


def test_what_was_expected_from_few_rows_is_no_sharp_expectation() -> None:
    seen = rate(600, 2000)
    assert outside(seen, rate(2000, 10_000).bounds(0.001), alpha=0.001)
    assert not outside(seen, rate(30, 150).bounds(0.001), alpha=0.001)
