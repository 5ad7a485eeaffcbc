"""Two releases side by side: what differs in verdict, figures, parameters, data and libraries.

    print(plain(compare(first, second)))

    figure                        sentiment@v0.0.1       sentiment@v0.0.2
    chosen: accuracy, locked test 87.5% (85.7 to 89.0)   88.2% (86.5 to 89.7)   within noise

Two intervals that overlap are called "within noise", two that do not "differs". Pure functions of
what git keeps of a release; imports nothing heavy, because a command of flows/ uses it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from tasks.candidates_table import Evaluation, GateReport, Quality, Side, Span, money
from tasks.report.html import environment, headline, strip, summary
from tasks.report.words import flatten, percent, points, rounded

TEMPLATE = "compare.html.jinja"
Word = Literal["within noise", "differs", "same", "no interval", "only in one"]
ABSENT = "-"


class Release(NamedTuple):
    """What git keeps of one finished run.

    Attributes:
        name: as it was asked for.
        commit: full hash.
        settings: params.yaml, read.
        data: the report of the stage prepare; empty where there is none.
        libraries: pinned version by name.
    """

    name: str
    commit: str
    gate: GateReport
    evaluations: tuple[Evaluation, ...]
    settings: Mapping[str, Any]
    data: Mapping[str, Any]
    libraries: Mapping[str, str]


class Cell(NamedTuple):
    """One figure of one release, with its interval where it has one."""

    value: float
    low: float | None
    high: float | None


class Figure(NamedTuple):
    """One figure of both releases; None where a release has none.

    Attributes:
        show: how its numbers are written.
        timing: it varies from run to run.
    """

    name: str
    first: Cell | None
    second: Cell | None
    word: Word
    show: Callable[[float], str]
    timing: bool


class Change(NamedTuple):
    """A key whose text differs between the two."""

    key: str
    first: str
    second: str


class Comparison(NamedTuple):
    """Everything that is told of two releases.

    Attributes:
        warnings: why some figures must not be set against each other.
    """

    first: Release
    second: Release
    warnings: tuple[str, ...]
    figures: tuple[Figure, ...]
    parameters: tuple[Change, ...]
    data: tuple[Change, ...]
    hardware: tuple[Change, ...]
    libraries: tuple[Change, ...]


def compare(first: Release, second: Release) -> Comparison:
    """Set two releases side by side."""
    return Comparison(
        first=first,
        second=second,
        warnings=tuple(_warnings(first, second)),
        figures=(*_locked(first, second), *_evaluated(first, second)),
        parameters=changes(first.settings, second.settings),
        data=changes(_hashes(first), _hashes(second)),
        hardware=changes(_hardware(first), _hardware(second)),
        libraries=changes(first.libraries, second.libraries),
    )


def changes(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[Change, ...]:
    """Dotted keys whose values differ, in the order in which they first appear."""
    one, two = dict(_leaves(first)), dict(_leaves(second))
    return tuple(
        Change(key, one.get(key, ABSENT), two.get(key, ABSENT))
        for key in dict.fromkeys((*one, *two))
        if one.get(key) != two.get(key)
    )


def judged(first: Cell | None, second: Cell | None) -> Word:
    """Whether two measurements tell the releases apart."""
    if first is None or second is None:
        return "only in one"
    if first == second:
        return "same"
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return "no interval"
    apart = first.high < second.low or second.high < first.low
    return "differs" if apart else "within noise"


def plain(comparison: Comparison) -> str:
    """The comparison for a terminal."""
    first, second = comparison.first, comparison.second
    table = [("figure", first.name, second.name, "")]
    table.append(("verdict", first.gate.verdict, second.gate.verdict, _verdicts(comparison)))
    for each in comparison.figures:
        name = f"{each.name} *" if each.timing else each.name
        table.append((name, cell(each.first, each.show), cell(each.second, each.show), each.word))
    parts = ["\n".join(_columns(table)), "* a timing: it varies from run to run"]
    parts += [f"Mind: {warning}." for warning in comparison.warnings]
    for title, found in sections(comparison):
        lines = [f"{each.key}: {each.first} -> {each.second}" for each in found]
        parts.append("\n  ".join([f"{title}: {len(found) or 'none'}", *lines]))
    return "\n\n".join(parts) + "\n"


def html(comparison: Comparison) -> str:
    """The comparison as one page that needs no network."""
    return (
        environment()
        .get_template(TEMPLATE)
        .render(
            comparison=comparison,
            sides=(comparison.first, comparison.second),
            headline=headline,
            summary=summary,
            sections=sections(comparison),
            drawn_pair=drawn_pair,
        )
    )


def sections(comparison: Comparison) -> tuple[tuple[str, tuple[Change, ...]], ...]:
    """Lists of changes under their titles."""
    return (
        ("Parameters that differ", comparison.parameters),
        ("Hashes that differ", comparison.data),
        ("Machines that differ", comparison.hardware),
        ("Pinned libraries that differ", comparison.libraries),
    )


def cell(found: Cell | None, show: Callable[[float], str]) -> str:
    """A figure with its interval: 87.5% (85.7% to 89.0%)."""
    if found is None:
        return ABSENT
    if found.low is None or found.high is None:
        return show(found.value)
    return f"{show(found.value)} ({show(found.low)} to {show(found.high)})"


def drawn_pair(figure: Figure) -> tuple[Any, Any] | None:
    """Both intervals on one scale; None unless both have one."""
    cells = [found for found in (figure.first, figure.second) if found and found.low is not None]
    ends = [end for found in cells for end in (found.low, found.high) if end is not None]
    if len(cells) != 2 or figure.word == "same":
        return None
    room = 0.08 * (max(ends) - min(ends))
    start, end = min(ends) - room, max(ends) + room
    one, two = (strip(found.value, found.low, found.high, start, end) for found in cells)
    return one, two


def _warnings(first: Release, second: Release) -> Iterator[str]:
    one, two = first.gate, second.gate
    if one.workload != two.workload:
        yield f"these are different workloads, {one.workload} and {two.workload}"
    if one.test and two.test and one.test.sha256 != two.test.sha256:
        yield "the locked tests differ, so their figures are not of the same items"
    if one.data_hash != two.data_hash:
        yield "the prepared data differ"
    if one.currency != two.currency:
        yield f"costs are in {one.currency} and in {two.currency}"
    if _hardware(first) != _hardware(second):
        yield "the machines differ, and with them every timing"


def _verdicts(comparison: Comparison) -> Word:
    same = comparison.first.gate.verdict == comparison.second.gate.verdict
    return "same" if same else "differs"


def _locked(first: Release, second: Release) -> Iterator[Figure]:
    """Both sides of the locked test, whatever the chosen candidates are called."""
    one, two = first.gate, second.gate
    for side, ours, theirs in (
        ("teacher", _tested(one.teacher), _tested(two.teacher)),
        ("chosen", _tested(one.candidate), _tested(two.candidate)),
    ):
        metric = one.teacher.quality.metric.replace("_", " ")
        yield _figure(f"{side}: {metric}, locked test", (ours, theirs), percent)
    pair = _difference(one), _difference(two)
    yield _figure("chosen minus teacher, points", pair, points)
    for name, pick, show in OF_CHOSEN:
        pair = _of_chosen(first, pick), _of_chosen(second, pick)
        yield _figure(f"chosen: {name}", pair, show, timing=name not in UNTIMED)


def _evaluated(first: Release, second: Release) -> Iterator[Figure]:
    """Quality and cost of every model that either release evaluated."""
    one = {each.name: each for each in first.evaluations}
    two = {each.name: each for each in second.evaluations}
    for name in dict.fromkeys((*one, *two)):
        ours, theirs = one.get(name), two.get(name)
        pair = _quality(ours), _quality(theirs)
        yield _figure(f"{name}: quality, validation", pair, percent)
        pair = _cost(ours), _cost(theirs)
        yield _figure(f"{name}: cost of 1,000 requests", pair, money, timing=True)


def _figure(
    name: str,
    pair: tuple[Cell | None, Cell | None],
    show: Callable[[float], str],
    *,
    timing: bool = False,
) -> Figure:
    return Figure(name, *pair, judged(*pair), show, timing)


def _cell(found: Quality | Span) -> Cell:
    return Cell(found.value, found.low, found.high)


def _quality(found: Evaluation | None) -> Cell | None:
    return _cell(found.quality) if found else None


def _cost(found: Evaluation | None) -> Cell | None:
    return _cell(found.cost.per_1000_requests) if found else None


def _tested(side: Side | None) -> Cell | None:
    return _cell(side.quality) if side is not None and side.split == "test" else None


def _difference(gate: GateReport) -> Cell | None:
    found = gate.difference
    return Cell(found.value, found.low, found.high) if found else None


def _of_chosen(release: Release, pick: Callable[[Evaluation], Cell | None]) -> Cell | None:
    names = (each for each in release.evaluations if each.name == release.gate.chosen)
    chosen = next(names, None)
    return pick(chosen) if chosen else None


def _alone(value: float | None) -> Cell | None:
    return Cell(value, None, None) if value is not None else None


OF_CHOSEN: Sequence[tuple[str, Callable[[Evaluation], Cell | None], Callable[[float], str]]] = (
    ("cost of 1,000 requests", lambda each: _cell(each.cost.per_1000_requests), money),
    ("requests/s", lambda each: _cell(each.performance.requests_per_second), rounded),
    ("p95, ms", lambda each: _alone(each.performance.latency_ms.p95), rounded),
    ("memory, MB", lambda each: _alone(each.performance.peak_memory_mb), rounded),
    ("size, MB", lambda each: _alone(each.size_mb), rounded),
)
UNTIMED = {"size, MB"}


def _hashes(release: Release) -> dict[str, str]:
    splits = release.data.get("splits") or {}
    hashes = {f"data.{name}": str(told.get("sha256")) for name, told in splits.items()}
    test = {"data.test": release.gate.test.sha256} if release.gate.test else {}
    models = {f"model.{each.name}": each.model_hash or ABSENT for each in release.evaluations}
    return {"data": release.gate.data_hash, **hashes, **test, **models}


def _hardware(release: Release) -> dict[str, str]:
    return dict(flatten(release.evaluations[0].hardware)) if release.evaluations else {}


def _leaves(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)


def _columns(table: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    return [
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]
