"""Latency against the number of requests in flight, one colour a model.

draw([Line("small-int8", "chosen", curve)])     p95 drawn through, p50 dashed
"""

from collections.abc import Sequence
from itertools import cycle
from typing import Final, NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from tasks.candidates_table import TableRow
from tasks.report import style
from tasks.report.sections import LoadPoint

OTHERS: Final = ("#0072b2", "#cc79a7", "#56b4e9", "#e69f00", "#6b7280")
"""Of Okabe and Ito's palette, which the colour-blind tell apart."""

MARKERS: Final = ("o", "^", "v", "P", "X")
CLOSE: Final = 0.045
"""Share of the axis within which two names would cover each other."""


class Line(NamedTuple):
    """One model's timings, by rising concurrency."""

    row: TableRow
    points: Sequence[LoadPoint]


def draw(lines: Sequence[Line]) -> bytes:
    """The plot as PNG.

    Raises:
        ValueError: nothing to draw.
    """
    if not lines:
        raise ValueError("no latency was measured under several loads")
    with rc_context(style.RC):
        figure = Figure(figsize=(9, 4.4), facecolor="white", layout="constrained")
        axes = figure.add_subplot()
        style.quiet(axes)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        others = cycle(zip(OTHERS, MARKERS, strict=True))
        names = [_line(axes, line, *_look(line.row, others)) for line in lines]
        _axes(axes, lines)
        _names(axes, names)
        return style.png(figure)


def _look(row: TableRow, others: "cycle[tuple[str, str]]") -> tuple[str, str]:
    if row.chosen:
        return style.CHOSEN, "D"
    return (style.TEACHER, "s") if row.role == "teacher" else next(others)


def _line(axes: Axes, line: Line, colour: str, marker: str) -> tuple[float, str, str]:
    """Both percentiles; returns where the line ends, with its name and colour."""
    load = [point.concurrency for point in line.points]
    p95 = [point.latency_ms.p95 for point in line.points]
    p50 = [point.latency_ms.p50 for point in line.points]
    axes.plot(load, p95, color=colour, lw=1.9, marker=marker, ms=5, mec="white", mew=0.8)
    axes.plot(load, p50, color=colour, lw=1.2, ls=(0, (4, 2)), marker=marker, ms=3)
    axes.fill_between(load, p50, p95, color=colour, alpha=0.08, linewidth=0)
    return p95[-1], line.row.name, colour


def _axes(axes: Axes, lines: Sequence[Line]) -> None:
    loads = sorted({point.concurrency for line in lines for point in line.points})
    axes.xaxis.set_major_locator(FixedLocator([float(load) for load in loads]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.set_xlabel("Requests in flight (logarithmic)", labelpad=8)
    axes.set_ylabel("Latency, ms (logarithmic)", labelpad=8)
    axes.set_title(
        "Lower is better. Drawn through: p95; dashed: p50. All are timings.",
        loc="left",
        fontsize=8.5,
        color=style.MUTED,
        pad=10,
    )


def _names(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Names at the right end of their lines, pushed apart where they would cover each other."""
    taken: list[float] = []
    for value, name, colour in sorted(ends):
        _, pixels = axes.transData.transform((1, value))
        _, place = axes.transAxes.inverted().transform((0, pixels))
        if taken:
            place = max(place, taken[-1] + CLOSE)
        taken.append(place)
        axes.annotate(
            name,
            xy=(1, place),
            xycoords="axes fraction",
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontsize=9,
            annotation_clip=False,
        )
