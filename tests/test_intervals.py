"""Intervals agree with published figures and keep their promised error rates."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tasks import intervals


@st.composite
def outcomes(draw: st.DrawFn) -> tuple[int, int, int]:
    n = draw(st.integers(1, 400))
    gains = draw(st.integers(0, n))
    return gains, draw(st.integers(0, n - gains)), n


def test_proportion_agrees_with_wilson_by_hand() -> None:
    z, n, share = 1.959964, 600, 552 / 600
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    found = intervals.proportion(552, 600)
    assert found == pytest.approx((share, centre - reach, centre + reach), abs=1e-6)


@given(n=st.integers(1, 2000), data=st.data())
def test_proportion_holds_its_value_and_stays_within_zero_and_one(
    n: int, data: st.DataObject
) -> None:
    found = intervals.proportion(data.draw(st.integers(0, n)), n)
    assert -1e-12 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1 + 1e-12


def test_mean_of_one_repeat_has_no_interval() -> None:
    assert intervals.mean([3.5]) == (3.5, None, None)


def test_mean_of_three_repeats_uses_student_t() -> None:
    found = intervals.mean([1.0, 2.0, 3.0])
    reach = 4.302653 / math.sqrt(3)
    assert found == pytest.approx((2.0, 2 - reach, 2 + reach), abs=1e-5)


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        # Airway hyper-responsiveness, in Fagerland, Lydersen and Laake (2014)
        ((1, 7, 21), -0.517, -0.026),
        # Newcombe (1998), 36 + 12 + 2 + 0 pairs
        ((12, 2, 50), 0.0611, 0.3447),
    ],
)
def test_paired_difference_agrees_with_published_intervals(
    counts: tuple[int, int, int], low: float, high: float
) -> None:
    found = intervals.paired_difference(*counts)
    assert found.low == pytest.approx(low, abs=5.1e-4)
    assert found.high == pytest.approx(high, abs=5.1e-4)


def test_paired_difference_has_a_width_when_no_item_is_judged_differently() -> None:
    found = intervals.paired_difference(0, 0, 1000)
    z = stats.norm.ppf(0.95)
    assert found.value == 0
    assert found.lower_bound == pytest.approx(-(z**2) / (1000 + z**2), abs=1e-6)
    assert found.upper_bound == pytest.approx(-found.lower_bound)


@given(counts=outcomes())
def test_paired_difference_is_ordered_and_within_minus_one_and_one(
    counts: tuple[int, int, int],
) -> None:
    found = intervals.paired_difference(*counts)
    ends = [found.low, found.lower_bound, found.value, found.upper_bound, found.high]
    assert ends == sorted(ends) or np.allclose(ends, sorted(ends), atol=1e-8)
    assert found.low >= -1
    assert found.high <= 1


@given(counts=outcomes())
def test_paired_difference_turns_its_sign_when_the_two_swap_places(
    counts: tuple[int, int, int],
) -> None:
    gains, losses, n = counts
    one, other = (
        intervals.paired_difference(gains, losses, n),
        intervals.paired_difference(losses, gains, n),
    )
    assert one.low == pytest.approx(-other.high, abs=1e-7)
    assert one.lower_bound == pytest.approx(-other.upper_bound, abs=1e-7)


@given(counts=outcomes(), margin=st.floats(0.005, 0.4))
def test_the_test_and_the_lower_bound_agree(counts: tuple[int, int, int], margin: float) -> None:
    gains, losses, n = counts
    bound = intervals.paired_difference(gains, losses, n).lower_bound
    passes = intervals.is_non_inferior(np.array([gains]), np.array([losses]), n, margin)[0]
    if abs(bound + margin) > 1e-6:
        assert passes == (bound > -margin)


@pytest.mark.parametrize("n", [300, 1000])
@pytest.mark.parametrize("discordance", [0.03, 0.05, 0.1, 0.2])
def test_at_a_true_difference_of_the_margin_at_most_one_in_twenty_passes(
    n: int, discordance: float
) -> None:
    margin, gates = 0.03, 2000
    losses = (discordance + margin) / 2
    shares = [discordance - losses, losses, 1 - discordance]
    drawn = np.random.default_rng(n).multinomial(n, shares, size=gates)
    passed = int(intervals.is_non_inferior(drawn[:, 0], drawn[:, 1], n, margin).sum())
    # 1% binomial allowance for the simulation; 0.055 for the discreteness of the counts
    assert passed <= stats.binom.ppf(0.99, gates, 0.055)


@pytest.mark.parametrize(("discordance", "difference"), [(0.1, 0.0), (0.08, -0.01), (0.06, 0.005)])
def test_required_items_give_the_promised_power(discordance: float, difference: float) -> None:
    n = intervals.required_items(discordance, difference, margin=0.03, power=0.8)
    assert n is not None
    losses = (discordance - difference) / 2
    shares = [discordance - losses, losses, 1 - discordance]
    drawn = np.random.default_rng(0).multinomial(n, shares, size=4000)
    passed = intervals.is_non_inferior(drawn[:, 0], drawn[:, 1], n, 0.03).mean()
    assert passed == pytest.approx(0.8, abs=0.05)


def test_no_number_of_items_settles_a_difference_that_is_the_margin() -> None:
    assert intervals.required_items(0.1, -0.03, margin=0.03) is None


def test_required_items_without_any_discordance_is_what_the_score_test_needs() -> None:
    n = intervals.required_items(0.0, 0.0, margin=0.03, power=0.9)
    assert n is not None
    enough = intervals.paired_difference(0, 0, n + 1).lower_bound
    too_few = intervals.paired_difference(0, 0, n - 2).lower_bound
    assert too_few < -0.03 < enough


@settings(max_examples=50)
@given(difference=st.floats(-0.02, 0.05), extra=st.floats(0.0, 0.3))
def test_more_discordance_needs_more_items(difference: float, extra: float) -> None:
    calm = intervals.required_items(abs(difference) + 0.01, difference, margin=0.03)
    noisy = intervals.required_items(abs(difference) + 0.02 + extra, difference, margin=0.03)
    assert calm is not None
    assert noisy is not None
    assert noisy >= calm


def test_discordant_counts_each_side() -> None:
    teacher, candidate = [True, True, False, False], [True, False, True, True]
    assert intervals.discordant(teacher, candidate) == (2, 1)


@pytest.mark.parametrize("counts", [(0, 0, 0), (3, 3, 5), (-1, 0, 5)])
def test_counts_that_do_not_fit_are_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"n = 0|must fit into 5 items"):
        intervals.paired_difference(*counts)
