"""Every evaluated candidate with its quality and cost, and the gate's verdict, as typed rows.

    table = load(Path("."))
    print(plain(table))

    candidate   role       accuracy             USD per 1,000        vs teacher  p95      size
    lora-fp32   teacher    0.920 (0.895-0.939)  0.0102 (0.010-0.011)  1.0x       912 ms   540 MB
    small-int8  candidate  0.905 (0.879-0.926)  0.0014 (0.001-0.002)  7.3x       131 ms   72 MB *

Read from data/evaluate/<name>/report.json and data/gate/report.json or, where DVC's outputs are
not checked out, from the copies that git keeps below reports/. Imports nothing heavy.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks import params, paths
from tasks.errors import DataError

Role = Literal["teacher", "champion", "candidate", "baseline"]
Verdict = Literal["pass", "fail", "inconclusive"]


class Facts(BaseModel):
    """Part of a report. Fields that a newer stage adds are left alone."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class Span(Facts):
    """A measured value with its two-sided 95% interval; no interval from a single repeat."""

    value: float
    low: float | None = None
    high: float | None = None


class Quality(Facts):
    """Share of `n` answers that were right, with its interval."""

    metric: str = "accuracy"
    n: int = Field(ge=1)
    value: float
    low: float
    high: float
    confidence: float = 0.95


class Slice(Facts):
    """Quality on the records whose metadata `field` is `value`."""

    field: str
    value: str
    quality: Quality


class SliceComparison(Facts):
    """Candidate against teacher on one slice of the locked test.

    `low` and `high` are two-sided at the gate's confidence. `worse`: shown to be worse by more than
    the gate's slice margin.
    """

    field: str
    value: str
    n: int
    teacher: float
    candidate: float
    difference: float
    low: float
    high: float
    worse: bool


class GuardComparison(Facts):
    """Candidate against teacher by a further metric, with one-sided bounds of the difference."""

    metric: str
    margin: float
    teacher: float
    candidate: float
    difference: float
    lower_bound: float
    upper_bound: float
    verdict: Verdict
    required_items: int | None = None


class JudgeSummary(Facts):
    """What a judge thinks of candidate and teacher on validation items.

    `preference` is the candidate's share of wins, a tie counting half. `swayed_by_order` counts the
    items on which the judge chose the same place both times.
    """

    model: str
    n: int
    candidate_wins: int
    teacher_wins: int
    ties: int
    swayed_by_order: int
    preference: Span
    agreement_with_references: Span | None


class Latency(Facts):
    """Milliseconds from request to answer, at the stated concurrency."""

    p50: float
    p95: float


class LoadPoint(Facts):
    """What the engine did at another number of requests in flight, tried briefly."""

    concurrency: int
    requests: int
    requests_per_second: Span
    latency_ms: Latency


class Performance(Facts):
    """What the engine did under load; every figure is a timing or a memory reading.

    `arrivals_per_second` is None where a request was sent when another had been answered.
    """

    concurrency: int | None = None
    repeats: int | None = None
    requests: int | None = None
    through: str = "engine"
    arrivals_per_second: float | None = None
    requests_per_second: Span
    latency_ms: Latency
    load_curve: tuple[LoadPoint, ...] = ()
    prompt_tokens_per_second: float | None = None
    peak_memory_mb: float | None = None
    load_seconds: float | None = None


class ServiceLevel(Facts):
    """Milliseconds within which 95% of requests are answered: asked, and measured when priced."""

    p95_ms_asked: float | None
    p95_ms_measured: float
    met: bool
    concurrency: int


class Cost(Facts):
    """Price per machine hour divided by measured throughput or, of a remote model, of its tokens.

    `repeats` are the prices of 1,000 requests of which `per_1000_requests` is the mean. Energy is
    None where the machine does not tell it.
    """

    currency: str = "USD"
    price_per_hour: float | None = None
    per_1000_requests: Span
    repeats: tuple[float, ...] = ()
    tokens_per_request: float | None = None
    per_million_tokens: Span | None = None
    energy_wh_per_1000_requests: Span | None = None
    service_level: ServiceLevel | None = None


class Evaluation(Facts):
    """report.json of `python -m tasks.evaluate <name>`."""

    name: str
    candidate: str | None
    engine: str
    role: Role
    quality: Quality
    metrics: dict[str, Span] = {}
    slices: tuple[Slice, ...] = ()
    performance: Performance
    cost: Cost
    size_mb: float | None = None
    model_hash: str | None = None
    hardware: dict[str, str | float | int | None] = {}
    machine_seconds: dict[str, float] = {}
    paid: dict[str, float] = {}


class Side(Facts):
    """The teacher or the chosen candidate, as the gate saw it."""

    name: str
    candidate: str | None
    engine: str
    quality: Quality
    split: Literal["test", "validation"]
    cost_per_1000: float
    p95_ms: float
    size_mb: float | None
    model_hash: str | None


class Difference(Facts):
    """Candidate's quality minus the teacher's on the same items.

    `low` and `high` are two-sided at `confidence`; `lower_bound` is one-sided at the same
    confidence and is what the verdict rests on. `discordance` is the share of items that exactly
    one of the two got right.
    """

    value: float
    low: float
    high: float
    confidence: float
    lower_bound: float
    upper_bound: float
    discordance: float


class Considered(Facts):
    """What the gate thought of one candidate on validation, before it saw the locked test."""

    name: str
    difference: float
    pass_probability: float = Field(ge=0, le=1)
    cost_per_1000: float
    cost_ratio: float
    decision: str


class Ledger(Facts):
    """What taking the candidate instead of the teacher costs and saves, in `currency`.

    Prices named per_1000 are of 1,000 requests. The candidate's net price adds to its own what the
    router and the judge take and what the teacher takes for `escalation_share` of all requests.
    `one_time` is what was spent once: `machine_price` for the time in `machine_seconds` (by what
    was made), and `labels_price` for labels that were bought. `ratio` is net price / teacher's,
    with its interval over repeats.
    """

    currency: str
    teacher_per_1000: float
    candidate_per_1000: float
    router_per_1000: float
    judge_per_1000: float
    escalation_share: float
    fallback_per_1000: float
    net_per_1000: float
    saving_per_1000: float
    ratio: Span
    machine_seconds: dict[str, float]
    machine_price: float
    labels_price: float
    one_time: float
    break_even_requests: int | None
    requests_per_month: float | None
    months_to_break_even: float | None
    notes: tuple[str, ...]


class LockedTest(Facts):
    """The locked test split.

    Attributes:
        n: number of items.
        sha256: of the file.
        sketch: of the items' ids; see tasks/sketch.py.
    """

    n: int
    sha256: str
    sketch: tuple[str, ...] = ()


class GateReport(Facts):
    """report.json of `python -m tasks.gate`.

    Costs are in `currency` per 1,000 requests. `cost_ratio` is candidate / teacher and must not
    exceed `max_cost_ratio`; `cost_ratios` say how many times cheaper the chosen candidate is
    than each reference. `test` is None when the locked test was not looked at, which may happen
    `max_looks` times. `superior` says that the candidate was shown to be better, not only no worse,
    and `agreement` is the share of items to which both gave the same answer. `champion` is the
    release in use, None before the first promotion, and `champion_difference` the candidate's
    quality minus the champion's.
    """

    workload: str
    budget: str
    verdict: Verdict
    reasons: tuple[str, ...]
    chosen: str | None
    teacher: Side
    candidate: Side | None
    difference: Difference | None
    margin: float
    cost_ratio: float | None
    max_cost_ratio: float
    cost_ratios: dict[str, float]
    currency: str
    required_items: int | None
    test: LockedTest | None
    max_looks: int = 5
    data_hash: str
    considered: tuple[Considered, ...]
    superior: bool = False
    agreement: Span | None = None
    guards: tuple[GuardComparison, ...] = ()
    slices: tuple[SliceComparison, ...] = ()
    judge: JudgeSummary | None = None
    champion: Side | None = None
    champion_difference: Difference | None = None
    ledger: Ledger | None = None


class TableRow(Facts):
    """One evaluated candidate.

    Attributes:
        cost: per 1,000 requests, in the table's currency.
        times_cheaper: the teacher's cost divided by this one's; None without a teacher.
        chosen: the gate put this one to the locked test.
    """

    name: str
    candidate: str | None
    engine: str
    role: Role
    quality: Quality
    cost: Span
    requests_per_second: Span
    p50_ms: float
    p95_ms: float
    peak_memory_mb: float | None
    size_mb: float | None
    times_cheaper: float | None
    chosen: bool


class Table(Facts):
    """Rows in the order teacher, champion, candidates, baselines, each from dear to cheap."""

    rows: tuple[TableRow, ...]
    gate: GateReport | None
    currency: str


Report = TypeVar("Report", bound=Facts)
HEADER = ("candidate", "role", "quality", "per 1,000 requests", "vs teacher", "p95", "size")


def load(root: Path) -> Table:
    """The table of the checkout or worktree at `root`; without rows when nothing is evaluated.

    Raises:
        DataError: a report that does not fit its schema, with the file's name.
    """
    gate = gate_report(root)
    found = evaluations(root)
    teacher = _teacher(found, gate)
    chosen = gate.chosen if gate else None
    order: tuple[Role, ...] = ("teacher", "champion", "candidate", "baseline")
    found.sort(key=lambda e: (order.index(e.role), -e.cost.per_1000_requests.value, e.name))
    return Table(
        rows=tuple(_row(evaluation, teacher, chosen) for evaluation in found),
        gate=gate,
        currency=found[0].cost.currency if found else "USD",
    )


def rows(root: Path) -> list[TableRow]:
    """The rows of `load(root)`."""
    return list(load(root).rows)


def evaluations(root: Path) -> list[Evaluation]:
    """Every evaluated candidate below `root`, by name.

    What an earlier workload file left behind and params.yaml no longer names is passed over.
    """
    # Of a finished run some outputs may have been restored, and the others are told by git alone.
    found = {file.stem: file for file in (root / paths.REPORTS / "evaluate").glob("*.json")}
    outputs = (root / paths.evaluation("any")).parent.glob(f"*/{paths.REPORT}")
    found |= {file.parent.name: file for file in outputs}
    named = _named(root)
    return [read(found[name], Evaluation) for name in sorted(found) if not named or name in named]


def gate_report(root: Path) -> GateReport | None:
    """The gate's report below `root`, or None before the gate ran."""
    for file in (root / paths.GATE / paths.REPORT, root / paths.published("gate")):
        if file.exists():
            return read(file, GateReport)
    return None


def read(file: Path, model: type[Report]) -> Report:
    """One report, typed.

    Raises:
        DataError: the file is missing or does not fit its schema.
    """
    try:
        return model.model_validate_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{file}: missing; run the stage that writes it first") from error
    except ValidationError as error:
        raise DataError(f"{file}: not the report that is expected here: {error}") from error


def cells(table: Table) -> list[tuple[str, ...]]:
    """The table as text, one tuple per row in the order of HEADER."""
    return [_cells(row, table.currency) for row in table.rows]


def markdown(table: Table) -> str:
    """The table in Markdown, the chosen candidate in bold."""
    lines = [_line(HEADER), _line(["---"] * len(HEADER))]
    for row, texts in zip(table.rows, cells(table), strict=True):
        lines.append(_line([f"**{text}**" if row.chosen else text for text in texts]))
    return "\n".join(lines) + "\n"


def plain(table: Table) -> str:
    """The table in columns for a terminal, the chosen candidate marked with *."""
    marked = [
        (f"{texts[0]} *" if row.chosen else texts[0], *texts[1:])
        for row, texts in zip(table.rows, cells(table), strict=True)
    ]
    lines = [HEADER, *marked]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    padded = [
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join(padded) + "\n"


def money(value: float) -> str:
    """A cost with three significant digits and no exponent: 0.00142."""
    decimals = 2
    while decimals < 9 and abs(value) * 10**decimals < 100:
        decimals += 1
    return f"{value:.{decimals}f}"


def times(ratio: float | None) -> str:
    """How many times cheaper, with two significant digits below 10: 7.3x."""
    if ratio is None:
        return "-"
    return f"{ratio:.1f}x" if ratio < 10 else f"{ratio:,.0f}x"


def _cells(row: TableRow, currency: str) -> tuple[str, ...]:
    quality, cost = row.quality, row.cost
    price = f"{currency} {money(cost.value)}"
    if cost.low is not None and cost.high is not None:
        price += f" ({money(cost.low)}-{money(cost.high)})"
    return (
        row.name,
        row.role,
        f"{quality.value:.3f} ({quality.low:.3f}-{quality.high:.3f})",
        price,
        times(row.times_cheaper),
        f"{row.p95_ms:,.0f} ms" if row.p95_ms >= 10 else f"{row.p95_ms:.2g} ms",
        f"{row.size_mb:,.0f} MB" if row.size_mb is not None else "-",
    )


def _line(texts: Sequence[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"


def _named(root: Path) -> set[str]:
    """Names that params.yaml gives to whatever is evaluated; empty without the file."""
    if not (root / paths.PARAMS).exists():
        return set()
    content = params.load_yaml(root / paths.PARAMS)
    evaluate = content.get("evaluate")
    candidates = evaluate.get("candidates") if isinstance(evaluate, dict) else None
    sections = [candidates, content.get("baseline"), content.get("remote")]
    return {str(name) for section in sections if isinstance(section, dict) for name in section}


def _teacher(found: Sequence[Evaluation], gate: GateReport | None) -> Evaluation | None:
    """The gate's teacher or, before the gate ran, the only evaluated one."""
    teachers = [evaluation for evaluation in found if evaluation.role == "teacher"]
    if gate is not None:
        teachers = [evaluation for evaluation in found if evaluation.name == gate.teacher.name]
    return teachers[0] if len(teachers) == 1 else None


def _row(evaluation: Evaluation, teacher: Evaluation | None, chosen: str | None) -> TableRow:
    cost = evaluation.cost.per_1000_requests
    return TableRow(
        name=evaluation.name,
        candidate=evaluation.candidate,
        engine=evaluation.engine,
        role=evaluation.role,
        quality=evaluation.quality,
        cost=cost,
        requests_per_second=evaluation.performance.requests_per_second,
        p50_ms=evaluation.performance.latency_ms.p50,
        p95_ms=evaluation.performance.latency_ms.p95,
        peak_memory_mb=evaluation.performance.peak_memory_mb,
        size_mb=evaluation.size_mb,
        times_cheaper=teacher.cost.per_1000_requests.value / cost.value
        if teacher and cost.value > 0
        else None,
        chosen=evaluation.name == chosen,
    )
