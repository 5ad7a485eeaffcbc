from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.prepare.duplicates import WordFile, banding, clusters, hashed, similarity, words

VOCABULARY = st.sampled_from(["fine", "film", "dull", "very", "a", "!", "plot", "cast"])
TEXTS = st.lists(st.lists(VOCABULARY, max_size=12).map(" ".join), max_size=25)
SENTENCE = st.lists(VOCABULARY, min_size=8, max_size=40)


def clustered(
    texts: Sequence[str], threshold: float, apart: Sequence[int] | None = None
) -> list[int]:
    with TemporaryDirectory() as folder:
        file = WordFile(Path(folder) / "words", banding(threshold))
        for start in range(0, len(texts), 10):
            file.append(hashed([[t] for t in texts[start : start + 10]]))
        file.finish()
        frames = np.array(apart or [0] * len(texts), np.int64)
        return clusters(file, np.arange(len(texts)), frames, threshold).tolist()


def compared(texts: Sequence[str], threshold: float) -> list[int]:
    """What comparing all with all gives."""
    sets = [frozenset(map(hash, words([text]))) for text in texts]
    leader = list(range(len(texts)))
    for i, j in combinations(range(len(texts)), 2):
        if similarity(sets[i], sets[j]) >= threshold:
            low, high = sorted((leader[i], leader[j]))
            leader = [low if entry == high else entry for entry in leader]
    return leader


@given(texts=TEXTS, threshold=st.sampled_from([0.5, 0.6, 0.75, 0.9, 1.0]))
@settings(max_examples=60)
def test_the_clusters_are_those_that_comparing_all_would_give(
    texts: list[str], threshold: float
) -> None:
    assert clustered(texts, threshold) == compared(texts, threshold)


@given(text=SENTENCE, place=st.integers(0, 39))
def test_one_changed_word_among_eight_or_more_is_found(text: list[str], place: int) -> None:
    changed = [*text]
    changed[place % len(text)] = "other"
    left, right = (frozenset(map(hash, words([" ".join(t)]))) for t in (text, changed))
    if "!" not in (text[place % len(text)], *text):
        assert similarity(left, right) == pytest.approx((len(text) - 1) / (len(text) + 1))
        assert clustered([" ".join(text), " ".join(changed)], 0.75) == [0, 0]


def test_case_spacing_punctuation_and_order_play_no_part() -> None:
    texts = ["A fine film", "a fine -- FILM!!", "film: a fine", "a dull film"]
    assert clustered(texts, 1.0) == [0, 0, 0, 3]


def test_the_same_word_counts_as_often_as_it_stands() -> None:
    assert words(["The plot, the cast!"]) == ["the", "plot", "the 2", "cast"]


def test_scripts_without_blanks_are_cut_into_characters() -> None:
    assert words(["日本語 film"]) == ["日", "本", "語", "film"]


def test_texts_without_words_are_told_apart() -> None:
    assert clustered(["!", "?!?", "!", ""], 0.75) == [0, 1, 0, 3]


def test_what_is_apart_is_never_joined() -> None:
    assert clustered(["a fine film"] * 4, 0.75, [0, 1, 0, 1]) == [0, 1, 0, 1]


def test_nothing_gives_nothing() -> None:
    assert clustered([], 0.75) == []


def test_a_key_that_thousands_share_is_soon_done() -> None:
    starts = ("one two three four five six seven eight nine", "un deux trois quatre cinq six")
    texts = [f"{starts[n % 2]} item{n}" for n in range(3000)]
    assert clustered(texts, 0.6) == [n % 2 for n in range(3000)]


def test_instructions_in_every_message_make_nothing_alike() -> None:
    instructions = "please sort this note of a customer into one of our seven bins and say why"
    notes = [
        f"{instructions} {n * 7919} {n * 31} {n * 17} x{n} y{n} z{n} u{n} v{n}" for n in range(1200)
    ]
    copies = [note.replace(f"z{n}", "other") for n, note in enumerate(notes[:5])]
    found = clustered([*notes, *copies], 0.75)
    assert found == [*range(1200), *range(5)]
