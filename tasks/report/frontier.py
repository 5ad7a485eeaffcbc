"""Cost against quality of everything that was evaluated, with intervals and the frontier.

Path("frontier.png").write_bytes(draw(candidates_table.load(Path("."))))
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import Bbox

from tasks.candidates_table import Table, TableRow, money, times
from tasks.report import style
from tasks.report.labels import Label, place


class Look(NamedTuple):
    """How one kind of point is drawn."""

    colour: str
    marker: str
    size: float
    weight: str


def pareto(rows: Sequence[TableRow]) -> list[TableRow]:
    """Rows that no other beats in both cost and quality, from cheap to dear."""
    front: list[TableRow] = []
    for row in sorted(rows, key=lambda r: (r.cost.value, -r.quality.value)):
        if not front or row.quality.value > front[-1].quality.value:
            front.append(row)
    return front


def draw(table: Table) -> bytes:
    """The plot as PNG, 1,800 pixels wide.

    Raises:
        ValueError: no rows, or a cost that a logarithmic axis cannot show.
    """
    if not table.rows:
        raise ValueError("nothing evaluated, nothing to draw")
    if min(row.cost.value for row in table.rows) <= 0:
        raise ValueError("a cost of zero has no place on a logarithmic axis")
    with rc_context(style.RC):
        figure = Figure(figsize=(9, 5.6), facecolor="white", layout="constrained")
        axes = figure.add_subplot()
        style.quiet(axes)
        _scale(axes, table)
        _limits(axes, table)
        _front(axes, table.rows)
        for row in table.rows:
            _point(axes, row)
        _label(figure, axes, table.rows)
        return style.png(figure)


def look(row: TableRow) -> Look:
    """Colour, marker, size and font weight by role; they differ in grey too."""
    if row.chosen:
        return Look(style.CHOSEN, "D", 9, "bold")
    match row.role:
        case "teacher":
            return Look(style.TEACHER, "s", 9, "bold")
        case "baseline":
            return Look(style.BASELINE, "o", 6, "normal")
        case _:
            return Look(style.CANDIDATE, "o", 7, "normal")


def _scale(axes: Axes, table: Table) -> None:
    costs = [c for row in table.rows for c in (row.cost.value, row.cost.low, row.cost.high) if c]
    costs = [cost for cost in costs if cost > 0]
    axes.set_xscale("log")
    decades = math.log10(max(costs) / min(costs))
    axes.set_xlim(
        min(costs) / 10 ** (0.2 + 0.02 * decades), max(costs) * 10 ** (0.2 + 0.17 * decades)
    )
    lows, highs = zip(*((row.quality.low, row.quality.high) for row in table.rows), strict=True)
    room = 0.12 * (max(highs) - min(lows)) or 0.05
    axes.set_ylim(max(-0.02, min(lows) - room), max(highs) + room)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if decades > 2.5 else (1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _price(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f}%"))
    axes.set_title(
        "Upper left is better. Bars are 95% intervals, the line is the frontier, and in the green "
        "area a candidate may pass.",
        loc="left",
        fontsize=8.5,
        color=style.MUTED,
        pad=10,
    )
    metric, n = table.rows[0].quality.metric, table.rows[0].quality.n
    axes.set_xlabel(f"Cost of 1,000 requests, {table.currency} (logarithmic)", labelpad=8)
    axes.set_ylabel(f"{metric.capitalize()} on {n:,} validation items", labelpad=8)


def _price(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:.10f}".rstrip("0")


def _limits(axes: Axes, table: Table) -> None:
    """Where the gate lets a candidate be: within the margin, and cheap enough."""
    teacher = _teacher(table)
    if table.gate is None or teacher is None:
        return
    floor = teacher.quality.value - table.gate.margin
    limit = teacher.cost.value * table.gate.max_cost_ratio
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    axes.fill_between([left, limit], floor, top, color=style.ALLOWED, zorder=0, linewidth=0)
    axes.plot([left, right], [floor, floor], color=style.MUTED, lw=1, ls=(0, (5, 3)), zorder=1)
    axes.plot([limit, limit], [bottom, top], color=style.MUTED, lw=1, ls=(0, (1, 2)), zorder=1)
    axes.annotate(
        f"margin: {100 * table.gate.margin:.2g} points below the teacher",
        xy=(1, floor),
        xycoords=("axes fraction", "data"),
        xytext=(-4, -4),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=8,
        color=style.MUTED,
    )
    axes.annotate(
        f"cost limit: {money(limit)}",
        xy=(limit, 0),
        xycoords=("data", "axes fraction"),
        xytext=(4, 5),
        textcoords="offset points",
        fontsize=8,
        color=style.MUTED,
    )


def _teacher(table: Table) -> TableRow | None:
    name = table.gate.teacher.name if table.gate else None
    return next((row for row in table.rows if row.name == name), None)


def _front(axes: Axes, rows: Sequence[TableRow]) -> None:
    front = pareto(rows)
    axes.step(
        [row.cost.value for row in front],
        [row.quality.value for row in front],
        where="post",
        color=style.FRONTIER,
        linewidth=1.3,
        zorder=2,
    )


def _point(axes: Axes, row: TableRow) -> None:
    shown, cost, quality = look(row), row.cost, row.quality
    low, high = cost.low or cost.value, cost.high or cost.value
    axes.errorbar(
        [cost.value],
        [quality.value],
        xerr=[[max(0.0, cost.value - low)], [max(0.0, high - cost.value)]],
        yerr=[[quality.value - quality.low], [quality.high - quality.value]],
        fmt=shown.marker,
        markersize=shown.size,
        color=shown.colour,
        markeredgecolor="white",
        markeredgewidth=1.1,
        elinewidth=1.4,
        ecolor=shown.colour,
        capsize=0,
        zorder=4 if row.role != "baseline" else 3,
    )


def _label(figure: Figure, axes: Axes, rows: Sequence[TableRow]) -> None:
    """Names beside their points, none on top of another, of a point or of an interval."""
    figure.draw_without_rendering()
    labels, obstacles = [], list[Bbox]()
    for row in rows:
        x, y = axes.transData.transform((row.cost.value, row.quality.value))
        _, low = axes.transData.transform((row.cost.value, row.quality.low))
        _, high = axes.transData.transform((row.cost.value, row.quality.high))
        obstacles += [
            Bbox.from_extents(x - 7, y - 7, x + 7, y + 7),
            Bbox.from_extents(x - 2, low, x + 2, high),
            _bar(axes, row),
        ]
        labels.append(Label(_name(row), look(row).colour, look(row).weight, (x, y)))
    obstacles += _steps(axes, pareto(rows))
    order = sorted(labels, key=lambda label: label.weight != "bold")
    place(figure, axes, order, [*obstacles, *(text.get_window_extent() for text in axes.texts)])


def _bar(axes: Axes, row: TableRow) -> Bbox:
    """Where the interval of the cost runs."""
    low, high = row.cost.low or row.cost.value, row.cost.high or row.cost.value
    left, y = axes.transData.transform((low, row.quality.value))
    right, _ = axes.transData.transform((high, row.quality.value))
    return Bbox.from_extents(left, y - 2, right, y + 2)


def _steps(axes: Axes, front: Sequence[TableRow]) -> list[Bbox]:
    """Where the frontier runs, so that names stay off it."""
    corners = [axes.transData.transform((row.cost.value, row.quality.value)) for row in front]
    boxes = []
    for (x, y), (next_x, next_y) in pairwise(corners):
        boxes.append(Bbox.from_extents(x, y - 2, next_x, y + 2))
        boxes.append(Bbox.from_extents(next_x - 2, y, next_x + 2, next_y))
    return boxes


def _name(row: TableRow) -> str:
    if row.chosen:
        factor = f", {times(row.times_cheaper)} cheaper" if row.times_cheaper else ""
        return f"{row.name} (chosen{factor})"
    return f"{row.name} (teacher)" if row.role == "teacher" != row.name else row.name
