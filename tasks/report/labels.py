"""Names beside points so that no two cover each other.

place(figure, axes, [Label("small-int8", "#0b6b4f", "bold", (310.0, 402.0))], obstacles=[])
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox

from tasks.report import style

FONT_SIZE = 9
ANGLES = tuple(math.radians(angle) for angle in (0, 180, 30, -30, 150, -150, 55, -55, 125, -125))
RADII = (11.0, 20.0, 32.0, 46.0, 62.0, 80.0)
"""Distances in points at which a place for a name is sought, near ones first."""


class Label(NamedTuple):
    """A name and the point that it belongs to, in pixels of the canvas."""

    text: str
    colour: str
    weight: str
    point: tuple[float, float]


def place(
    figure: Figure, axes: Axes, labels: Sequence[Label], obstacles: Sequence[Bbox]
) -> list[Bbox]:
    """Draw every label at the free place nearest to its point; returns where they lie.

    Where nothing near is free the place that covers least is taken. A label that had to move
    away is tied to its point by a thin line.
    """
    taken = list(obstacles)
    placed = []
    for label in labels:
        size = _size(axes, label)
        options = list(_places(label.point, size, figure.dpi / 72))
        inside = [box for box in options if _contains(axes.bbox, box)] or options
        best = min(inside, key=lambda box: sum(_overlap(box, other) for other in taken))
        _draw(axes, label, best)
        taken.append(best)
        placed.append(best)
    return placed


def _size(axes: Axes, label: Label) -> tuple[float, float]:
    text = axes.text(0, 0, label.text, fontsize=FONT_SIZE, fontweight=label.weight)
    extent = text.get_window_extent()
    text.remove()
    return extent.width, extent.height


def _places(point: tuple[float, float], size: tuple[float, float], scale: float) -> Iterator[Bbox]:
    """Boxes around the point, nearest first, preferably to its right."""
    width, height = size
    for radius in RADII:
        for angle in ANGLES:
            x = point[0] + radius * scale * math.cos(angle)
            y = point[1] + radius * scale * math.sin(angle) - height / 2
            left = x if math.cos(angle) > 0 else x - width
            yield Bbox.from_bounds(left, y, width, height)


def _contains(outer: Bbox, inner: Bbox) -> bool:
    return bool(
        outer.x0 <= inner.x0
        and inner.x1 <= outer.x1
        and outer.y0 <= inner.y0
        and inner.y1 <= outer.y1
    )


def _overlap(one: Bbox, other: Bbox) -> float:
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return width * height if width > 0 and height > 0 else 0.0


def _draw(axes: Axes, label: Label, box: Bbox) -> None:
    to_data = axes.transData.inverted().transform
    centre_y = (box.y0 + box.y1) / 2
    near = box.x0 if box.x0 > label.point[0] else box.x1
    x, y = to_data((box.x0, centre_y))
    axes.text(
        x,
        y,
        label.text,
        fontsize=FONT_SIZE,
        fontweight=label.weight,
        color=label.colour if label.colour != style.BASELINE else style.MUTED,
        va="center",
        zorder=6,
        path_effects=[withStroke(linewidth=2.5, foreground="white", alpha=0.85)],
    )
    if math.dist((near, centre_y), label.point) > 1.8 * RADII[0] * axes.figure.dpi / 72:
        start, end = to_data(label.point), to_data((near, centre_y))
        axes.plot(
            [start[0], end[0]], [start[1], end[1]], color=label.colour, lw=0.7, alpha=0.7, zorder=3
        )
