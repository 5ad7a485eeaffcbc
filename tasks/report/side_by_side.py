"""Twenty requests of the validation split with what both sides answered, worst disagreements first.

    choose(records, teacher, candidate)[0].kind      "worse"

Validation only: a locked test whose items people read is locked no longer.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

from tasks import paths, records
from tasks.candidates_table import Table, TableRow
from tasks.records import Prediction, Record

Kind = Literal["worse", "better", "wrong", "right"]

SHOWN: Final = 20
QUOTA: Final[Mapping[Kind, int]] = {"worse": 8, "better": 5, "wrong": 4, "right": 3}
"""How many of each kind, in the order of the page; what a kind lacks, the next ones fill."""


class Example(NamedTuple):
    """One request and its answers; scores are 0 to 1.

    Attributes:
        kind: how the candidate did beside the teacher: `worse`, `better`, both equally `wrong`
            or both `right`.
        request: what the user says, and the system where its words are not the same for all.
    """

    id: str
    kind: Kind
    request: str
    reference: str
    teacher: Prediction
    candidate: Prediction


class SideBySide(NamedTuple):
    """The examples of one teacher and one candidate.

    Attributes:
        counts: how many of all common items are of each kind.
        graded: scores are not just 0 and 1, so an answer is better rather than right.
    """

    teacher: str
    candidate: str
    system: str | None
    examples: tuple[Example, ...]
    counts: Mapping[Kind, int]
    graded: bool


def gather(root: Path, table: Table) -> SideBySide | None:
    """The examples of the run below `root`; None where a side or its answers are missing."""
    pair = sides(table)
    if pair is None or not (root / paths.VALIDATION).exists():
        return None
    files = [root / paths.evaluation(row.name) / paths.PREDICTIONS for row in pair]
    if not all(file.exists() for file in files):
        return None
    asked = records.read(root / paths.VALIDATION, Record)
    teacher, candidate = (records.read(file, Prediction) for file in files)
    every = compare(asked, teacher, candidate)
    if not every:
        return None
    return SideBySide(
        teacher=pair[0].name,
        candidate=pair[1].name,
        system=_system(asked),
        examples=tuple(choose(every)),
        counts={kind: sum(example.kind == kind for example in every) for kind in QUOTA},
        graded=any(answer.score not in {0, 1} for answer in (*teacher, *candidate)),
    )


def sides(table: Table) -> tuple[TableRow, TableRow] | None:
    """Teacher and chosen candidate or, where none was chosen, the best on validation."""
    named = table.gate.teacher.name if table.gate else None
    teachers = [row for row in table.rows if row.role == "teacher" and named in {None, row.name}]
    candidates = [row for row in table.rows if row.role == "candidate"]
    if not teachers or not candidates:
        return None
    best = max(candidates, key=lambda row: (row.chosen, row.quality.value, -row.cost.value))
    return teachers[0], best


def compare(
    asked: Sequence[Record], teacher: Sequence[Prediction], candidate: Sequence[Prediction]
) -> list[Example]:
    """Every request that both answered: by kind, then by how far apart the scores are, then by id.

    Answers to anything that is not in `asked` are passed over.
    """
    ours = {answer.id: answer for answer in teacher}
    theirs = {answer.id: answer for answer in candidate}
    shared = _system(asked)
    found = [
        Example(
            id=record.id,
            kind=_kind(ours[record.id], theirs[record.id]),
            request=_request(record, shared),
            reference=record.reference,
            teacher=ours[record.id],
            candidate=theirs[record.id],
        )
        for record in asked
        if record.id in ours and record.id in theirs
    ]
    order = list(QUOTA)
    return sorted(found, key=lambda each: (order.index(each.kind), _nearness(each), each.id))


def choose(every: Sequence[Example], shown: int = SHOWN) -> list[Example]:
    """At most `shown` of the sorted examples, some of each kind."""
    first = [
        example
        for kind, quota in QUOTA.items()
        for example in [each for each in every if each.kind == kind][:quota]
    ]
    spare = [example for example in every if example not in first]
    taken = [*first, *spare[: max(0, shown - len(first))]][:shown]
    return [example for example in every if example in taken]


def _kind(teacher: Prediction, candidate: Prediction) -> Kind:
    if candidate.score < teacher.score:
        return "worse"
    if candidate.score > teacher.score:
        return "better"
    return "right" if candidate.score == 1 else "wrong"


def _nearness(example: Example) -> float:
    return -abs(example.teacher.score - example.candidate.score)


def _request(record: Record, shared: str | None) -> str:
    """What was said; by whom, where there is more than one message. Shared words are told once."""
    said = [each for each in record.messages if shared is None or each["role"] != "system"]
    if len(said) == 1:
        return said[0]["content"]
    return "\n".join(f"{message['role']}: {message['content']}" for message in said)


def _system(asked: Sequence[Record]) -> str | None:
    """The system's words where all requests share them."""
    found = {
        "\n".join(message["content"] for message in record.messages if message["role"] == "system")
        for record in asked
    }
    return (found.pop() or None) if len(found) == 1 else None
