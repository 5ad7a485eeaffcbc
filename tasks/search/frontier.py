"""Models of which none is both better and cheaper, and how much of the plane they win.

best(points)                            positions, from cheap to dear
best(points, CLEARLY)                   where prices are measured, not known
hypervolume(points, corner(teacher))    0 for nothing better than the corner
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

BELOW_TEACHER = 0.2
"""Quality, less than the teacher's, at which the corner of the hypervolume lies."""

CLEARLY = 0.8
"""Of a measured price: what is less is so for more reasons than the machine's mood that minute."""


class Point(NamedTuple):
    """Quality, 0 to 1, and the price of 1,000 requests."""

    quality: float
    price: float


def corner(teacher: Point) -> Point:
    """What a model has to beat in both to win anything."""
    return Point(teacher.quality - BELOW_TEACHER, teacher.price)


def best(points: Sequence[Point], cheaper: float = 1.0) -> list[int]:
    """Positions of the points that none beats in both, from cheap to dear; of equals the first.

    A poorer point has to cost less than the share `cheaper` of a better one's price; equals are
    those of the same quality whose prices do not differ by that much.
    """
    found: list[int] = []
    for quality in sorted({point.quality for point in points}, reverse=True):
        below = cheaper * points[found[-1]].price if found else math.inf
        able = [n for n, p in enumerate(points) if p.quality == quality and p.price < below]
        least = min((points[n].price for n in able), default=0.0)
        found += [n for n in able if cheaper * points[n].price <= least][:1]
    return found[::-1]


def ranked(points: Sequence[Point], corner: Point) -> list[int]:
    """All positions, the frontier first, then the frontier of what remains, and so on.

    Of one frontier what wins most by itself comes first: time may not do for all.
    """
    rest, order = list(range(len(points))), list[int]()
    while rest:
        front = [rest[n] for n in best([points[n] for n in rest])]
        order += sorted(front, key=lambda n: -hypervolume([points[n]], corner))
        rest = [n for n in rest if n not in front]
    return order


def hypervolume(points: Sequence[Point], corner: Point) -> float:
    """Area between the frontier and a corner that is dear and poor (Zitzler and Thiele 1999).

    In points of quality times powers of two of price: a step that halves the price counts the same
    wherever it is taken.
    """
    able = [p for p in points if p.quality > corner.quality and p.price < corner.price]
    area, floor = 0.0, corner.quality
    for point in (able[n] for n in best(able)):
        area += (point.quality - floor) * math.log2(corner.price / point.price)
        floor = point.quality
    return area
