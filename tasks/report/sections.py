"""What a report may hold beyond what every run measures: slices, other metrics, load, ledger.

    of_evaluation(Path("."), "small-int8").slices[0].value      "short"
    of_gate(Path(".")).ledger["break_even_requests"]            120000

A part that the stage did not measure is empty here, and the page leaves it out or says so. A part
that is there in another shape is an error that names its file.
"""

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from tasks import candidates_table, paths
from tasks.candidates_table import Evaluation, Facts, Latency, Span


class Slice(Facts):
    """Quality of the `n` answers whose record has `value` in `field`."""

    field: str
    value: str
    n: int
    quality: Span


class LoadPoint(Facts):
    """Timings with `concurrency` requests in flight."""

    concurrency: int = Field(ge=1)
    requests_per_second: Span
    latency_ms: Latency


class LoadCurve(Facts):
    """The part of an evaluation's performance that was measured under further loads."""

    load_curve: tuple[LoadPoint, ...] = ()
    arrivals_per_second: float | None = None


class ServiceLevel(Facts):
    """Milliseconds within which 95% of requests are answered: asked, and measured when priced."""

    p95_ms_asked: float | None = None
    p95_ms_measured: float
    met: bool


class MoreCost(Facts):
    """The part of an evaluation's cost that not every run has."""

    per_million_tokens: Span | None = None
    energy_wh_per_1000_requests: Span | None = None
    service_level: ServiceLevel | None = None


class EvaluationSections(Facts):
    """Parts of one evaluation's report.json that not every run has."""

    slices: tuple[Slice, ...] = ()
    metrics: Mapping[str, Span] = Field(default_factory=dict)
    performance: LoadCurve = LoadCurve()
    cost: MoreCost = MoreCost()


class SlicePair(Facts):
    """One slice of the locked test: both sides' quality and the paired difference."""

    field: str
    value: str
    n: int
    teacher: float
    candidate: float
    difference: float
    low: float | None = None
    high: float | None = None


class GateSections(Facts):
    """Parts of the gate's report.json that not every run has.

    `agreement` and `ledger` are shown as they stand, whatever they hold.
    """

    slices: tuple[SlicePair, ...] = ()
    agreement: object = None
    ledger: dict[str, object] | None = None


def of_evaluation(root: Path, name: str) -> EvaluationSections:
    """The sections of one evaluated model; empty where its report has none."""
    for file in (
        root / paths.evaluation(name) / paths.REPORT,
        root / paths.published("evaluate", name),
    ):
        if file.exists():
            return candidates_table.read(file, EvaluationSections)
    return EvaluationSections()


def load_curve(evaluation: Evaluation, more: EvaluationSections) -> tuple[LoadPoint, ...]:
    """The loads that were tried and the one that was priced; empty where only that was measured."""
    priced, points = evaluation.performance, more.performance.load_curve
    if not points:
        return ()
    tried = {point.concurrency for point in points}
    steady = more.performance.arrivals_per_second is None
    if steady and priced.concurrency is not None and priced.concurrency not in tried:
        here = LoadPoint(
            concurrency=priced.concurrency,
            requests_per_second=priced.requests_per_second,
            latency_ms=priced.latency_ms,
        )
        points = (*points, here)
    return tuple(sorted(points, key=lambda point: point.concurrency))


def of_gate(root: Path) -> GateSections:
    """The sections of the gate; empty before it ran."""
    for file in (root / paths.GATE / paths.REPORT, root / paths.published("gate")):
        if file.exists():
            return candidates_table.read(file, GateSections)
    return GateSections()
