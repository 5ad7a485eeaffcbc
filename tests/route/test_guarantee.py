"""What was shown to keep the floor keeps it, as often as was said."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentos.router import cascade
from bentos.router.confidence import confidence
from tasks.route import guarantee

FLOOR, SURE = 0.98, 0.95


def requests(
    rng: np.random.Generator, n: int, lost: float, tell: float = 1.0
) -> tuple[guarantee.Array, guarantee.Array]:
    """Scores of a cheap model and a teacher, and how sure the cheap one is.

    Where the cheap model loses, which it does for a share of `lost` requests, it is less sure, the
    more so the greater `tell`.
    """
    teacher = (rng.random(n) < 0.9).astype(float)
    loses = rng.random(n) < lost
    cheap = np.where(loses, 0.0, teacher)
    doubt = rng.beta(1, 6, n) + np.where(loses, tell * rng.beta(4, 4, n), 0)
    return np.stack([cheap, teacher], axis=1), np.clip(1 - doubt, 0, 1)[:, None]


def broken(level: float | None, rng: np.random.Generator, lost: float, tell: float) -> bool:
    """Whether a level breaks the floor on very many requests."""
    if level is None:
        return False
    scores, sure = requests(rng, 50_000, lost, tell)
    taken = guarantee.answering(sure, level)
    return bool(guarantee.losses(scores, taken, FLOOR).mean() > 0)


@pytest.mark.parametrize("tell", [0.0, 0.5, 1.0])
def test_the_floor_is_broken_no_more_often_than_was_said(tell: float) -> None:
    rng = np.random.default_rng(0)
    count = 200
    found = [
        guarantee.loosest(*requests(rng, 600, 0.1, tell), FLOOR, SURE).level for _ in range(count)
    ]
    breaks = sum(broken(level, rng, 0.1, tell) for level in found)
    # Of 200 with a rate of 5% more than 19 are met once in a hundred times.
    assert breaks <= 19


def test_much_is_kept_cheap_where_doubt_tells_what_is_lost() -> None:
    scores, sure = requests(np.random.default_rng(1), 2000, 0.1)
    choice = guarantee.loosest(scores, sure, FLOOR, SURE)
    assert choice.level is not None
    shown = [each for each in choice.tested if each.p_value <= 1 - SURE]
    assert shown[-1].kept[0] > 0.5
    assert [each.level for each in choice.tested] == list(cascade.levels()[: len(choice.tested)])


def test_nothing_is_claimed_of_few_requests() -> None:
    scores, sure = requests(np.random.default_rng(2), 12, 0.1)
    assert guarantee.loosest(scores, sure, FLOOR, SURE).level is None


@given(seed=st.integers(0, 10_000), mean=st.floats(0, 0.3))
@settings(max_examples=50)
def test_the_order_of_requests_is_no_matter(seed: int, mean: float) -> None:
    rng = np.random.default_rng(seed)
    found = rng.choice([-1.0, -0.02, 0.98], size=60, p=[0.1, 0.9 - mean, mean])
    assert guarantee.p_value(found, FLOOR) == pytest.approx(
        guarantee.p_value(rng.permutation(found), FLOOR)
    )
    assert 0 < guarantee.p_value(found, FLOOR) <= 1


def test_a_claim_that_holds_is_seldom_denied() -> None:
    """Losses whose mean is exactly zero: at most 5% of p-values are below 0.05."""
    rng = np.random.default_rng(3)
    share = 0.02 / (0.98 + 0.02)
    denied = 0
    for _ in range(2000):
        found = np.where(rng.random(400) < share, 0.98, -0.02)
        denied += guarantee.p_value(found, FLOOR) <= 0.05
    assert denied / 2000 <= 0.05


def test_the_extremes_have_the_values_that_they_must() -> None:
    assert guarantee.p_value(np.full(500, -1.0), FLOOR) < 1e-50
    assert guarantee.p_value(np.full(500, FLOOR), FLOOR) == 1
    assert guarantee.p_value([], FLOOR) == 1


@given(
    sure=st.lists(st.floats(0, 1), min_size=1, max_size=4),
    level=st.sampled_from(cascade.levels()),
)
def test_router_and_calibration_take_the_same_model(sure: list[float], level: float) -> None:
    taken = guarantee.answering(np.array([sure]), level)
    assert taken.tolist() == [cascade.answers_at(sure, level)]


def test_levels_run_from_nearly_certain_to_anything() -> None:
    found = cascade.levels()
    assert found[0] > 0.9999
    assert found[-1] == 0
    assert list(found) == sorted(found, reverse=True)


def test_confidence_is_the_geometric_mean_of_probabilities() -> None:
    assert confidence([]) == 0
    assert confidence(np.log([0.5, 0.5]).tolist()) == pytest.approx(0.5)
    assert confidence([1e-9]) == 1
