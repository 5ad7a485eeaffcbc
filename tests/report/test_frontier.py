"""The frontier holds what nothing beats, and names do not cover each other."""

from itertools import combinations
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from tasks import candidates_table
from tasks.report.frontier import draw, pareto
from tasks.report.labels import Label, place
from tests.report.made_up import write_run


def test_frontier_leaves_out_what_is_dearer_and_no_better(tmp_path: Path) -> None:
    write_run(tmp_path)
    front = [row.name for row in pareto(candidates_table.rows(tmp_path))]
    assert front == ["tfidf", "tiny-int4", "small-int8", "half-int8", "lora-int8", "lora-fp32"]


def test_a_single_candidate_without_intervals_can_be_drawn(tmp_path: Path) -> None:
    write_run(tmp_path)
    row = candidates_table.rows(tmp_path)[0]
    alone = row.model_copy(update={"cost": candidates_table.Span(value=0.01)})
    table = candidates_table.Table(rows=(alone,), gate=None, currency="USD")
    assert draw(table).startswith(b"\x89PNG")


def test_names_of_crowded_points_do_not_overlap() -> None:
    figure = Figure(figsize=(9, 5.6))
    axes = figure.add_subplot()
    figure.draw_without_rendering()
    x, y = axes.bbox.x0 + 250, axes.bbox.y0 + 200
    labels = [Label(f"candidate-{i}", "black", "normal", (x + 9 * i, y + 5 * i)) for i in range(6)]
    boxes = place(figure, axes, labels, [])
    assert all(Bbox.intersection(one, other) is None for one, other in combinations(boxes, 2))
