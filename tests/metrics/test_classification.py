"""Right, wrong, and how well rare labels are found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from tasks.metrics.classification import exact_match, macro_f1

LABEL = st.sampled_from(["a", "b", "c"])


def test_blanks_around_an_answer_do_not_make_it_wrong() -> None:
    assert exact_match(" positive\n", "positive") == 1
    assert exact_match("positively", "positive") == 0


@given(st.lists(st.tuples(LABEL, LABEL), min_size=1, max_size=60))
def test_macro_f1_is_that_of_scikit_learn_over_labels_that_occur(
    pairs: list[tuple[str, str]],
) -> None:
    answers, references = zip(*pairs, strict=True)
    labels = sorted(set(references))
    expected = f1_score(references, answers, labels=labels, average="macro", zero_division=0)
    assert macro_f1(answers, references).value() == pytest.approx(expected)


def test_macro_f1_sees_a_rare_label_that_accuracy_does_not() -> None:
    references = ["common"] * 95 + ["rare"] * 5
    found = macro_f1(["common"] * 100, references).interval()
    assert found.value < 0.5 < 0.95
    assert found.low <= found.value <= found.high


def test_intervals_come_out_again_to_the_last_digit() -> None:
    answers, references = ["a", "b", "a", "c"] * 20, ["a", "b", "c", "c"] * 20
    assert macro_f1(answers, references).interval() == macro_f1(answers, references).interval()
