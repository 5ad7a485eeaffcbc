from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.prepare.duplicates import clusters, near, pieces, similarity

WORDS = st.lists(st.sampled_from(["fine", "film", "dull", "very", "a", "!"]), max_size=12)
TEXTS = st.lists(WORDS.map(" ".join), max_size=25)


@given(texts=TEXTS, threshold=st.sampled_from([0.35, 0.5, 0.8, 0.95, 1.0]))
def test_exactly_the_pairs_that_comparing_all_would_give(
    texts: list[str], threshold: float
) -> None:
    sets = [pieces(text) for text in texts]
    expected = [
        (i, j)
        for i, j in combinations(range(len(texts)), 2)
        if similarity(sets[i], sets[j]) >= threshold
    ]
    assert near(texts, threshold) == expected


def test_case_spacing_and_punctuation_play_no_part() -> None:
    assert near(["A fine film", "a fine -- FILM!!", "a dull film"], 1.0) == [(0, 1)]


@pytest.mark.parametrize("text", ["", "!", "?!?", "日本語"])
def test_short_and_wordless_texts_have_pieces(text: str) -> None:
    assert len(pieces(text)) == 1


def test_clusters_join_chains_and_keep_singles() -> None:
    assert clusters(6, [(0, 2), (2, 4), (3, 5)]) == [[0, 2, 4], [1], [3, 5]]
