"""The locked test's one result: the paired difference, its interval and the margin.

draw(gate.difference, gate.margin, "pass")
"""

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from tasks.candidates_table import Difference, Verdict
from tasks.report import style

COLOURS: dict[Verdict, str] = {
    "pass": style.CHOSEN,
    "fail": style.FAILED,
    "inconclusive": style.UNDECIDED,
}


def draw(difference: Difference, margin: float, verdict: Verdict) -> bytes:
    """A strip in points: a thin line for the two-sided interval, a thick one to its bounds."""
    colour = COLOURS[verdict]
    left = 100 * min(difference.low, -margin)
    right = 100 * max(difference.high, 0.0)
    room = 0.16 * (right - left)
    with rc_context(style.RC):
        figure = Figure(figsize=(9, 1.75), facecolor="white", layout="constrained")
        axes = figure.add_subplot()
        style.quiet(axes)
        axes.spines["left"].set_visible(False)
        axes.set_yticks([])
        axes.set_ylim(-1, 1)
        axes.set_xlim(left - room, right + room)
        axes.axvspan(-100 * margin, right + room, color=style.ALLOWED, zorder=0, linewidth=0)
        axes.axvline(-100 * margin, color=style.MUTED, lw=1.2, ls=(0, (5, 3)))
        axes.axvline(0, color=style.MUTED, lw=0.8)
        low, high = 100 * difference.low, 100 * difference.high
        bounds = 100 * difference.lower_bound, 100 * difference.upper_bound
        axes.plot([low, high], [0, 0], color=colour, lw=1.4)
        axes.plot(bounds, [0, 0], color=colour, lw=5, solid_capstyle="butt")
        axes.plot([100 * difference.value], [0], "D", color=colour, ms=9, mec="white", mew=1.2)
        for x, text in ((-100 * margin, f"margin {-100 * margin:.2g}"), (0.0, "teacher")):
            axes.annotate(
                text.replace("-", "\N{MINUS SIGN}"),
                xy=(x, 1),
                xytext=(4, -3),
                textcoords="offset points",
                va="top",
                fontsize=8.5,
                color=style.MUTED,
            )
        axes.annotate(
            f"{100 * difference.value:+.1f}".replace("-", "\N{MINUS SIGN}"),
            xy=(100 * difference.value, 0),
            xytext=(0, -18),
            textcoords="offset points",
            ha="center",
            fontweight="bold",
            color=colour,
        )
        axes.set_xlabel("Candidate minus teacher on the locked test, percentage points")
        axes.xaxis.set_major_formatter(
            FuncFormatter(
                lambda value, _: (f"{value:+g}" if value else "0").replace("-", "\N{MINUS SIGN}")
            )
        )
        return style.png(figure)
