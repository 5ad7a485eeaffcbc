from collections import Counter
from collections.abc import Sequence
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.prepare import split
from tasks.prepare.clean import Item, content_id
from tasks.prepare.config import Split
from tasks.prepare.duplicates import pieces, similarity

CONFIG = Split(validation=0.3, test=0.3, salt="s")
WORDS = ("fine", "film", "dull", "plot", "very", "cast")
ROWS = st.lists(
    st.tuples(
        st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join),
        st.sampled_from(["negative", "positive"]),
        st.one_of(st.none(), st.sampled_from(["g1", "g2", "g3", "g4"])),
    ),
    max_size=40,
)


def items(rows: Sequence[tuple[str, str, str | None]]) -> list[Item]:
    """One item a row; without a group, the text is its own."""
    made = []
    for number, (text, label, group) in enumerate(rows, start=1):
        key = content_id({"text": text})
        made.append(Item(number, key, group or key, {"text": text}, label))
    return made


def numbered(count: int, start: int = 0) -> list[Item]:
    """Items that differ from each other."""
    return items(
        [(f"text {n}", "positive" if n % 3 else "negative", None) for n in range(start, count)]
    )


@given(rows=ROWS)
@settings(max_examples=150)
def test_no_two_that_stay_are_near_duplicates_and_every_row_is_counted(
    rows: list[tuple[str, str, str | None]],
) -> None:
    result = split.distinct(items(rows), 0.6, CONFIG)
    sets = [pieces(item.fields["text"]) for item in result.items]
    assert all(similarity(a, b) < 0.6 for a, b in combinations(sets, 2))
    gone = result.exact + result.near_within_split + result.near_across_splits + result.conflicting
    assert len(result.items) + gone == len(rows)


@given(rows=ROWS, more=ROWS)
@settings(max_examples=150)
def test_appended_rows_move_no_row_to_another_split(
    rows: list[tuple[str, str, str | None]], more: list[tuple[str, str, str | None]]
) -> None:
    before = {
        i.row: split.assign(i.group, CONFIG) for i in split.distinct(items(rows), 0.6, CONFIG).items
    }
    after = {
        i.row: split.assign(i.group, CONFIG)
        for i in split.distinct(items(rows + more), 0.6, CONFIG).items
    }
    for row in before.keys() & after.keys():
        assert before[row] == after[row]


@given(rows=ROWS)
def test_the_order_of_the_file_plays_no_part(rows: list[tuple[str, str, str | None]]) -> None:
    shuffled = sorted(rows, key=lambda row: (row[0][::-1], row[1], row[2] or ""))
    kept = [(i.id, i.group) for i in split.distinct(items(rows), 0.6, CONFIG).items]
    assert [(i.id, i.group) for i in split.distinct(items(shuffled), 0.6, CONFIG).items] == kept


def test_training_gives_way_to_the_test() -> None:
    texts = [f"a long enough sentence about film number {n}" for n in range(200)]
    groups = [(text, "positive", f"group {n}") for n, text in enumerate(texts)]
    result = split.distinct(items(groups), 0.6, CONFIG)
    assert [split.assign(item.group, CONFIG) for item in result.items] == ["test"]
    assert result.near_across_splits > 50
    assert result.near_within_split > 20


def test_duplicates_with_other_labels_are_dropped_altogether() -> None:
    rows = [("a fine film", "positive", None), ("a fine film", "negative", None)]
    near = [
        ("quite a dull plot, really", "negative", None),
        ("quite a dull plot, really!", "positive", None),
    ]
    result = split.distinct(items(rows + near), 0.8, CONFIG)
    assert (result.items, result.conflicting) == ([], 4)


def test_shares_are_as_asked_for_every_label() -> None:
    drawn = Counter((split.assign(item.group, CONFIG), item.reference) for item in numbered(6000))
    for label, total in (("negative", 2000), ("positive", 4000)):
        assert abs(drawn["test", label] / total - 0.3) < 0.03
        assert abs(drawn["validation", label] / total - 0.3) < 0.03


def test_another_salt_gives_another_split() -> None:
    other = Split(validation=0.3, test=0.3, salt="t")
    keys = [str(n) for n in range(300)]
    assert [split.assign(k, CONFIG) for k in keys] != [split.assign(k, other) for k in keys]


@given(limit=st.integers(min_value=1, max_value=400))
def test_a_subset_has_the_size_and_the_proportions(limit: int) -> None:
    kept = split.subset(numbered(300), limit, "s")
    counts = Counter(item.reference for item in kept)
    assert len(kept) == min(limit, 300)
    assert abs(counts["negative"] - len(kept) / 3) <= 1
    assert kept == sorted(kept, key=lambda item: item.id)


def test_a_larger_subset_holds_the_smaller_one() -> None:
    small = {item.id for item in split.subset(numbered(300), 60, "s")}
    assert small <= {item.id for item in split.subset(numbered(300), 150, "s")}
