from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.config import Task
from tasks.prepare import split
from tasks.prepare.clean import content_id
from tasks.prepare.config import Split, TimeSplit
from tasks.prepare.conversation import UnusableError
from tasks.prepare.duplicates import WordFile, banding, hashed, similarity, words
from tasks.prepare.split import Distinct
from tasks.prepare.table import Table
from tests.prepare.conftest import TASK

CONFIG = Split(validation=0.3, test=0.3, salt="s")
TIME = TimeSplit.model_validate(
    {"column": "at", "validation_from": "2026-02-01", "test_from": "2026-03-01"}
)
NEAR = 0.6
WORDS = ("fine", "film", "dull", "plot", "very", "cast")
Row = tuple[str, str, str | None]
ROWS = st.lists(
    st.tuples(
        st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join),
        st.sampled_from(["negative", "positive"]),
        st.one_of(st.none(), st.sampled_from(["g1", "g2", "g3", "g4"])),
    ),
    max_size=40,
)


def tabled(rows: Sequence[Row]) -> Table:
    """One entry a row; without a group, the text is its own."""
    made = []
    for number, (text, label, group) in enumerate(rows, start=1):
        key = content_id({"text": text})
        side = split.NAMES.index(split.assign(group or key, CONFIG))
        answer = TASK.labels.index(label)
        name = int(content_id({"group": group or key}), 16)
        made.append(
            (
                *(number, int(key, 16), name, answer, answer, side, split.share(key, "s")),
                *(1, 1, False, 0, 0, 0),
            )
        )
    return Table.of(made)


@contextmanager
def worded(rows: Sequence[Row]) -> Iterator[WordFile]:
    with TemporaryDirectory() as folder:
        file = WordFile(Path(folder) / "words", banding(NEAR))
        file.append(hashed([[row[0]] for row in rows]))
        file.finish()
        yield file


def distinct(rows: Sequence[Row], task: Task = TASK) -> Distinct:
    table = tabled(rows)
    everyone = np.arange(len(rows))
    with worded(rows) as file:
        return split.distinct(table, everyone, file, np.zeros(len(rows), int), NEAR, task)


def sides(rows: Sequence[Row]) -> dict[int, int]:
    """Split of each row that stays, by its number."""
    table = tabled(rows)
    return {int(table.row[k]): int(table.side[k]) for k in distinct(rows).kept}


def numbered(count: int) -> list[Row]:
    """Rows that differ from each other."""
    return [(f"text {n}", "positive" if n % 3 else "negative", None) for n in range(count)]


@given(rows=ROWS)
@settings(max_examples=100)
def test_no_two_that_stay_are_near_duplicates_and_every_row_is_counted(rows: list[Row]) -> None:
    result = distinct(rows)
    sets = [frozenset(map(hash, words([rows[k][0]]))) for k in result.kept]
    assert all(similarity(a, b) < NEAR for a, b in combinations(sets, 2))
    gone = result.exact + result.near_within_split + result.near_across_splits + result.conflicting
    assert len(result.kept) + gone == len(rows)


@given(rows=ROWS, more=ROWS)
@settings(max_examples=100)
def test_appended_rows_move_no_row_to_another_split(rows: list[Row], more: list[Row]) -> None:
    before, after = sides(rows), sides(rows + more)
    for row in before.keys() & after.keys():
        assert before[row] == after[row]


@given(rows=ROWS)
@settings(max_examples=100)
def test_the_order_of_the_file_plays_no_part(rows: list[Row]) -> None:
    shuffled = sorted(rows, key=lambda row: (row[0][::-1], row[1], row[2] or ""))

    def kept(given: list[Row]) -> list[tuple[str, str | None]]:
        return [(given[k][0], given[k][2]) for k in distinct(given).kept]

    assert kept(shuffled) == kept(rows)


def test_training_gives_way_to_the_test() -> None:
    rows: list[Row] = [
        (f"a long enough sentence about film number {n}", "positive", f"group {n}")
        for n in range(200)
    ]
    result = distinct(rows)
    assert [split.NAMES[tabled(rows).side[k]] for k in result.kept] == ["test"]
    assert result.near_across_splits > 50
    assert result.near_within_split > 20


CONFLICTS: list[Row] = [
    ("a fine film", "positive", None),
    ("a fine film", "negative", None),
    ("quite a dull plot, really", "negative", None),
    ("quite a dull plot, really so", "positive", None),
]


def test_duplicates_with_other_labels_are_dropped_altogether_and_told() -> None:
    result = distinct(CONFLICTS)
    assert (len(result.kept), result.conflicting) == (0, 4)
    assert result.conflicts == [[1, 2], [3, 4]]


@pytest.mark.parametrize(("kind", "kept", "conflicting"), [("extraction", 1, 2), ("chat", 2, 0)])
def test_answers_conflict_where_there_is_one_right_answer(
    kind: str, kept: int, conflicting: int
) -> None:
    schema = {"answer_schema": {}} if kind == "extraction" else {}
    result = distinct(CONFLICTS, Task.model_validate({"kind": kind, **schema}))
    assert (len(result.kept), result.conflicting) == (kept, conflicting)


def test_shares_are_as_asked_for_every_label() -> None:
    table = tabled(numbered(6000))
    drawn = Counter(zip(table.side.tolist(), table.label.tolist(), strict=True))
    for label, total in ((0, 2000), (1, 4000)):
        for name in ("validation", "test"):
            assert abs(drawn[split.NAMES.index(name), label] / total - 0.3) < 0.03


def test_another_salt_gives_another_split() -> None:
    other = Split(validation=0.3, test=0.3, salt="t")
    keys = [str(n) for n in range(300)]
    assert [split.assign(k, CONFIG) for k in keys] != [split.assign(k, other) for k in keys]


@given(limit=st.integers(min_value=1, max_value=400))
@settings(max_examples=30)
def test_a_subset_has_the_size_and_the_proportions(limit: int) -> None:
    table = tabled(numbered(300))
    kept = split.subset(table, np.arange(300), limit, TASK)
    assert len(kept) == min(limit, 300)
    assert abs((table.label[kept] == 0).sum() - len(kept) / 3) <= 1
    assert (np.diff(table.id[kept].astype(object)) > 0).all()


def test_a_larger_subset_holds_the_smaller_one() -> None:
    table = tabled(numbered(300))
    small, large = (split.subset(table, np.arange(300), n, TASK) for n in (60, 150))
    assert set(small.tolist()) <= set(large.tolist())


@pytest.mark.parametrize(
    ("moment", "name"),
    [
        ("2026-01-31T23:59:59Z", "train"),
        ("2026-02-01", "validation"),
        ("2026-02-01T01:00:00+02:00", "train"),
        ("2026-03-01 00:00:00", "test"),
        (1_769_903_999, "train"),
        (1_769_904_000, "validation"),
        (1_772_323_200_000, "test"),
    ],
)
def test_time_draws_the_line(moment: object, name: str) -> None:
    assert split.by_time(moment, TIME) == name


@pytest.mark.parametrize("moment", [None, "", "yesterday", True, 1e300, float("nan"), [], "12:30"])
def test_what_is_no_time_has_a_reason(moment: object) -> None:
    with pytest.raises(UnusableError, match=r"^(no at|at is not a time)$"):
        split.by_time(moment, TIME)
