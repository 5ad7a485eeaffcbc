"""Cost against quality of every recipe, single levers apart, with both frontiers.

Path("search.png").write_bytes(draw(outcome))
"""

from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from tasks.report import style
from tasks.search import frontier
from tasks.search.frontier import Point
from tasks.search.outcome import Outcome


def draw(outcome: Outcome) -> bytes:
    """The plot as PNG.

    Raises:
        ValueError: no recipe could be made.
    """
    composed = [e.point for e in outcome.tried if e.point and e.lever is None]
    alone = [e.point for e in outcome.tried if e.point and e.lever is not None]
    if not composed and not alone:
        raise ValueError("no recipe could be made, so there is nothing to draw")
    with rc_context(style.RC):
        figure = Figure(figsize=(9, 5.2), facecolor="white", layout="constrained")
        axes = figure.add_subplot()
        style.quiet(axes)
        axes.set_xscale("log")
        _front(axes, alone, style.BASELINE)
        _front(axes, [*composed, *alone], style.FRONTIER)
        _dots(axes, alone, style.BASELINE, "o", "one lever alone")
        _dots(axes, composed, style.CANDIDATE, "o", "several levers")
        _dots(axes, _point(outcome, outcome.chosen), style.CHOSEN, "D", "chosen")
        if outcome.teacher.point:
            _dots(axes, [outcome.teacher.point], style.TEACHER, "s", "teacher")
            _allowed(axes, outcome, outcome.teacher.point)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f}%"))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.10f}".rstrip("0")))
        axes.set_xlabel(f"Cost of 1,000 requests, {outcome.currency} (logarithmic)", labelpad=8)
        axes.set_ylabel("Quality on validation", labelpad=8)
        axes.legend(loc="lower right", frameon=False)
        return style.png(figure)


def _point(outcome: Outcome, name: str | None) -> list[Point]:
    return [e.point for e in outcome.tried if e.point and e.name == name][:1]


def _dots(axes: Axes, points: Sequence[Point], colour: str, marker: str, label: str) -> None:
    if points:
        prices, qualities = [p.price for p in points], [p.quality for p in points]
        axes.plot(
            prices, qualities, marker, color=colour, ms=8, mec="white", ls="", label=label, zorder=4
        )


def _front(axes: Axes, points: Sequence[Point], colour: str) -> None:
    front = [points[position] for position in frontier.best(points, frontier.CLEARLY)]
    prices, qualities = [p.price for p in front], [p.quality for p in front]
    axes.step(prices, qualities, where="post", color=colour, lw=1.3, zorder=2)


def _allowed(axes: Axes, outcome: Outcome, teacher: Point) -> None:
    """Where the gate lets a candidate be."""
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    floor, limit = teacher.quality - outcome.margin, teacher.price * outcome.max_cost_ratio
    axes.fill_between([left, limit], floor, max(top, floor), color=style.ALLOWED, zorder=0, lw=0)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
