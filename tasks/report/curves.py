"""Learning curves of everything that was trained.

draw({"finetune/lora": [{"step": 10, "train_loss": 0.41}, {"step": 10, "validation_loss": 0.38}]})
"""

from collections.abc import Mapping, Sequence
from math import ceil

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tasks.report import style

Curve = Sequence[Mapping[str, float]]
COLUMNS = 2
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
    axes.set_ylabel("loss, nats")
    for key, label, colour in LINES:
        points = [(entry["step"], entry[key]) for entry in curve if key in entry]
        if not points:
            continue
        steps, losses = zip(*points, strict=True)
        axes.plot(steps, losses, color=colour, lw=1.8, marker="o", markersize=2.5)
        axes.annotate(
            label,
            xy=(steps[-1], losses[-1]),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=colour if colour != style.BASELINE else style.MUTED,
            fontsize=8.5,
        )
    axes.margins(x=0.04)
    _, right = axes.get_xlim()
    axes.set_xlim(right=right * 1.22)
