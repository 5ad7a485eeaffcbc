"""What none beats, and how much it wins."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.search.frontier import Point, best, hypervolume, ranked

POINTS = st.lists(st.builds(Point, st.floats(0, 1), st.floats(1e-5, 1)), min_size=1, max_size=12)
CORNER = Point(0.2, 0.5)


@given(POINTS)
def test_no_point_beats_one_of_the_frontier_in_both(points: list[Point]) -> None:
    front = [points[position] for position in best(points)]
    for one in front:
        assert not any(p.quality > one.quality and p.price <= one.price for p in points)
    for other in points:
        assert any(p.quality >= other.quality and p.price <= other.price for p in front)


@given(POINTS)
def test_what_is_measured_has_to_be_clearly_cheaper_than_what_is_better(
    points: list[Point],
) -> None:
    front = [points[position] for position in best(points, 0.8)]
    for cheap, dear in pairwise(front):
        assert cheap.quality < dear.quality
        assert cheap.price < 0.8 * dear.price
    for other in points:
        assert any(p.quality >= other.quality and 0.8 * p.price <= other.price for p in front)


def test_of_equals_the_first_is_on_the_frontier_unless_another_is_clearly_cheaper() -> None:
    simple, noisy, cheap = Point(0.9, 0.10), Point(0.9, 0.09), Point(0.9, 0.05)
    assert best([simple, noisy], 0.8) == best([simple, Point(0.9, 0.11)], 0.8) == [0]
    assert best([simple, noisy, cheap], 0.8) == [2]
    assert best([simple, noisy]) == [1]


@given(POINTS)
def test_every_point_has_a_rank_and_the_frontier_is_first(points: list[Point]) -> None:
    order = ranked(points, CORNER)
    assert sorted(order) == list(range(len(points)))
    front = order[: len(best(points))]
    assert sorted(front) == sorted(best(points))
    won = [hypervolume([points[position]], CORNER) for position in front]
    assert won == sorted(won, reverse=True)


@given(POINTS, st.builds(Point, st.floats(0, 1), st.floats(1e-5, 1)))
def test_another_point_never_makes_the_hypervolume_smaller(
    points: list[Point], more: Point
) -> None:
    assert hypervolume([*points, more], CORNER) >= hypervolume(points, CORNER) - 1e-12


def test_hypervolume_counts_halved_prices() -> None:
    one = Point(0.7, 0.25)  # half a quality above the corner, at half its price
    assert hypervolume([one], CORNER) == pytest.approx(0.5 * 1)
    cheaper = Point(0.3, 0.0625)  # a tenth above it, at an eighth
    assert hypervolume([one, cheaper], CORNER) == pytest.approx(0.1 * 3 + 0.4 * 1)
    assert hypervolume([Point(0.1, 0.01), Point(0.9, 0.6)], CORNER) == 0
