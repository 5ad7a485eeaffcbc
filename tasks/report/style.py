"""How every figure looks: colours that also differ in grey, quiet axes, one font everywhere.

with rc_context(RC): ...
"""

from io import BytesIO
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK: Final = "#1f2328"
MUTED: Final = "#6b7280"
RULE: Final = "#d9dce1"
TEACHER: Final = "#a3541b"
CANDIDATE: Final = "#2b5c8a"
CHOSEN: Final = "#0b6b4f"
BASELINE: Final = "#9aa0a8"
FRONTIER: Final = "#b9c0c9"
FAILED: Final = "#9f2d2d"
UNDECIDED: Final = "#8a6a0f"
ALLOWED: Final = "#e9f3ee"
DPI: Final = 200
"""Twice the resolution of a screen, enough for paper."""

RC: Final[dict[Any, object]] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.edgecolor": RULE,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.9,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "axes.unicode_minus": True,
}


def quiet(axes: Axes) -> None:
    """Leave only what carries information: two axes and faint rules."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(which="both", length=0, pad=6)
    axes.grid(True, which="major", color=RULE, linewidth=0.6, alpha=0.8)
    axes.set_axisbelow(True)


def png(figure: Figure) -> bytes:
    """The figure as PNG, without a date, so that the same facts give the same bytes."""
    buffer = BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()
