"""Answers that are texts."""

import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st

from tasks.metrics.text import bleu, chrf, corpus_chrf, rouge

TEXT = st.text(alphabet="abc déf.", max_size=30)
CORPUS = st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=8)


@given(TEXT, TEXT)
def test_scores_lie_between_nothing_and_all(answer: str, reference: str) -> None:
    assert 0 <= chrf(answer, reference) <= 1
    assert 0 <= rouge("rouge_l", answer, reference) <= 1


@given(CORPUS)
def test_bleu_is_that_of_sacrebleu(pairs: list[tuple[str, str]]) -> None:
    answers, references = (list(side) for side in zip(*pairs, strict=True))
    expected = sacrebleu.corpus_bleu(answers, [references]).score / 100
    assert bleu(answers, references).value() == pytest.approx(min(1.0, expected))


@given(CORPUS)
def test_chrf_of_a_corpus_is_that_of_sacrebleu(pairs: list[tuple[str, str]]) -> None:
    answers, references = (list(side) for side in zip(*pairs, strict=True))
    expected = sacrebleu.corpus_chrf(answers, [references]).score / 100
    assert corpus_chrf(answers, references).value() == pytest.approx(min(1.0, expected))


def test_words_in_common_are_counted_by_each_rouge_in_its_way() -> None:
    answer, reference = "the cat sat on the mat", "on the mat sat the cat"
    assert rouge("rouge_1", answer, reference) == 1
    assert rouge("rouge_l", answer, reference) < rouge("rouge_2", answer, reference) < 1
