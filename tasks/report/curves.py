"""Learning curves of everything that was trained.

draw({"finetune/lora": [{"step": 10, "train_loss": 0.41}, {"step": 10, "validation_loss": 0.38}]})
"""

from collections.abc import Mapping, Sequence
from math import ceil

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from tasks.report import style

Curve = Sequence[Mapping[str, float]]
COLUMNS = 2
STEEP = 20
"""Losses further apart than this are drawn on a logarithmic axis."""

LINES = (
    ("train_loss", "training", style.BASELINE),
    ("validation_loss", "validation", style.CHOSEN),
)


def draw(curves: Mapping[str, Curve]) -> bytes:
    """One small panel per trained candidate, as PNG.

    Raises:
        ValueError: no curve to draw.
    """
    if not curves:
        raise ValueError("no learning curve to draw")
    columns = min(COLUMNS, len(curves))
    lines = ceil(len(curves) / columns)
    with rc_context(style.RC):
        figure = Figure(
            figsize=(4.5 * columns, 2.9 * lines), facecolor="white", layout="constrained"
        )
        panels = figure.subplots(lines, columns, squeeze=False).flatten()
        for panel, (name, curve) in zip(panels, curves.items(), strict=False):
            _panel(panel, name, curve)
        for spare in panels[len(curves) :]:
            spare.set_visible(False)
        return style.png(figure)


def _panel(axes: Axes, name: str, curve: Curve) -> None:
    style.quiet(axes)
    axes.set_title(name, loc="left", fontweight="bold", fontsize=9.5)
    axes.set_xlabel("step")
    losses = [entry[key] for entry in curve for key, *_ in LINES if key in entry]
    logarithmic = bool(losses) and 0 < min(losses) < max(losses) / STEEP
    axes.set_ylabel("loss, nats (logarithmic)" if logarithmic else "loss, nats")
    if logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    for key, label, colour in LINES:
        points = [(entry["step"], entry[key]) for entry in curve if key in entry]
        if points:
            steps, values = zip(*points, strict=True)
            marker = "o" if key == "validation_loss" else ""
            axes.plot(steps, values, color=colour, lw=1.6, marker=marker, ms=4, label=label)
    if axes.lines:
        axes.legend(frameon=False, fontsize=8.5, loc="upper right", labelcolor=style.INK)
