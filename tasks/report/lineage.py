"""Every candidate as a box, from the fetched weights on the left to what is served on the right.

draw([Node("fetch/base", None, None, "134.5 M parameters", "plain"), ...])

A solid arrow leads from what a candidate was made of, a dashed one from the teacher whose logits
it learned from.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from tasks.report import style

Role = Literal["teacher", "chosen", "plain"]
Point = tuple[float, float]

FILLS: Final[Mapping[str, str]] = {
    "fetch": "#eceef1",
    "finetune": "#f8e3cf",
    "prune": "#dcebf7",
    "distill": "#d8eee4",
    "quantize": "#efe1ee",
}
"""Tints of colours that the colour-blind tell apart; every box names its stage as well."""

EDGES: Final[Mapping[Role, tuple[str, float]]] = {
    "teacher": (style.TEACHER, 2.2),
    "chosen": (style.CHOSEN, 2.2),
    "plain": ("#b9c0c9", 0.9),
}
WIDTH, HEIGHT = 1.62, 0.74
STEP_X, STEP_Y = 2.14, 1.06
HEADROOM = 0.5
"""Above the first line, for the arcs."""

INCHES = 0.8
"""Of one unit of the drawing."""

PAGE = 11.25
"""Units that fill the page's width; a shallow graph is not blown up, a deep one is shrunk."""


class Node(NamedTuple):
    """One candidate.

    Attributes:
        teacher: whose stored logits it was trained on.
        note: its size, where that is known.
    """

    name: str
    parent: str | None
    teacher: str | None
    note: str | None
    role: Role


def draw(nodes: Sequence[Node]) -> bytes:
    """The graph as PNG.

    Raises:
        ValueError: nothing to draw.
    """
    if not nodes:
        raise ValueError("no candidate, no lineage to draw")
    places = arrange(nodes)
    columns = 1 + max(column for column, _ in places.values())
    lines = 1 + max(line for _, line in places.values())
    width = max(PAGE, (columns - 1) * STEP_X + WIDTH + 0.2)
    height = (lines - 1) * STEP_Y + HEIGHT + 0.2 + HEADROOM
    with rc_context(style.RC):
        figure = Figure(figsize=(width * INCHES, height * INCHES), facecolor="white")
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_axis_off()
        axes.set_xlim(-0.1, width - 0.1)
        axes.set_ylim(height - HEADROOM - 0.1, -HEADROOM - 0.1)
        for node in nodes:
            _arrows(axes, node, places)
        for node in nodes:
            _box(axes, node, places[node.name])
        return style.png(figure)


def arrange(nodes: Sequence[Node]) -> dict[str, tuple[int, float]]:
    """Column and line of every candidate: parents left of what is made of them, lines unshared.

    A parent stands on the line of the first thing that is made of it.
    """
    names = {node.name for node in nodes}
    children = defaultdict[str | None, list[str]](list)
    for node in nodes:
        children[node.parent if node.parent in names else None].append(node.name)
    places: dict[str, tuple[int, float]] = {}
    free = 0

    def settle(name: str, column: int) -> float:
        nonlocal free
        lines = [settle(child, column + 1) for child in _longest_first(children, name)]
        if not lines:
            free += 1
        line = lines[0] if lines else float(free - 1)
        places[name] = (column, line)
        return line

    for root in children[None]:
        settle(root, 0)
    return places


def _longest_first(children: Mapping[str | None, list[str]], name: str) -> list[str]:
    return sorted(children.get(name, []), key=lambda child: -_depth(children, child))


def _depth(children: Mapping[str | None, list[str]], name: str) -> int:
    return 1 + max((_depth(children, child) for child in children.get(name, [])), default=0)


def _corner(place: tuple[int, float]) -> tuple[float, float]:
    column, line = place
    return column * STEP_X, line * STEP_Y


def _arrows(axes: Axes, node: Node, places: Mapping[str, tuple[int, float]]) -> None:
    if node.parent is not None and node.parent in places:
        _made_of(axes, places[node.parent], places[node.name])
    if node.teacher is not None and node.teacher in places and node.teacher != node.parent:
        _learned_from(axes, places[node.teacher], places[node.name])


def _made_of(axes: Axes, source: tuple[int, float], target: tuple[int, float]) -> None:
    """Right, then up or down, then right into the box."""
    (from_x, from_y), (x, y) = _corner(source), _corner(target)
    turn = from_x + WIDTH + (STEP_X - WIDTH) / 2
    start, end = from_y + HEIGHT / 2, y + HEIGHT / 2
    axes.plot([from_x + WIDTH, turn, turn], [start, start, end], color=style.MUTED, lw=1.2)
    _arrow(axes, (turn, end), (x, end), "arc3", "solid")


def _learned_from(axes: Axes, source: tuple[int, float], target: tuple[int, float]) -> None:
    """An arc above the boxes."""
    (from_x, from_y), (x, y) = _corner(source), _corner(target)
    start, end = (from_x + 0.7 * WIDTH, from_y), (x + 0.4 * WIDTH, y)
    _arrow(axes, start, end, "arc3,rad=-0.16", (0, (4, 3)))


def _arrow(
    axes: Axes, start: Point, end: Point, bend: str, dashes: str | tuple[int, tuple[int, int]]
) -> None:
    patch = FancyArrowPatch(
        start,
        end,
        arrowstyle="-|>",
        mutation_scale=10,
        connectionstyle=bend,
        color=style.MUTED,
        linewidth=1.2,
        linestyle=dashes,
        shrinkA=0,
        shrinkB=1,
    )
    axes.add_patch(patch)


def _box(axes: Axes, node: Node, place: tuple[int, float]) -> None:
    x, y = _corner(place)
    stage, _, variant = node.name.partition("/")
    edge, line = EDGES[node.role]
    axes.add_patch(
        FancyBboxPatch(
            (x + 0.05, y + 0.05),
            WIDTH - 0.1,
            HEIGHT - 0.1,
            boxstyle="round,pad=0.05,rounding_size=0.08",
            facecolor=FILLS.get(stage, "white"),
            edgecolor=edge,
            linewidth=line,
        )
    )
    role = "" if node.role == "plain" else f", {node.role}"
    lines = [(f"{stage}{role}", 6.8, style.MUTED, "normal")]
    lines.append((variant, 8.6, style.INK, "bold"))
    if node.note:
        lines.append((node.note, 6.8, style.MUTED, "normal"))
    top = y + HEIGHT / 2 - 0.11 * (len(lines) - 1)
    for number, (text, size, colour, weight) in enumerate(lines):
        axes.text(
            x + WIDTH / 2,
            top + 0.22 * number,
            text,
            ha="center",
            va="center",
            fontsize=size,
            color=colour,
            fontweight=weight,
        )
