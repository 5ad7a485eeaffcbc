"""What the router's predictor reads of a conversation."""

import math

from hypothesis import given
from hypothesis import strategies as st

from bentos.router.predictor import BUCKETS, CHARACTERS, Predictor, features

PARTS = st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": st.text()}))
CONTENTS = st.none() | st.text() | PARTS | st.lists(st.dictionaries(st.text(), st.integers()))
CONVERSATIONS = st.lists(st.fixed_dictionaries({"content": CONTENTS}))


def knowing(word: str, weight: float, least: float = 0.5) -> Predictor:
    """One that looks for a single word."""
    [bucket] = set(features([{"content": word}])) - set(features([{"content": "." * len(word)}]))
    weights = tuple(weight if each == bucket else 0.0 for each in range(BUCKETS))
    return Predictor(weights=weights, bias=1.0, least=least)


@given(CONVERSATIONS)
def test_any_conversation_has_features_of_unit_length(
    conversation: list[dict[str, object]],
) -> None:
    found = features(conversation)
    assert all(0 <= bucket < BUCKETS for bucket in found)
    assert math.isclose(sum(value**2 for value in found.values()), 1)


def test_a_word_that_was_learned_lowers_the_chance_in_any_turn_and_form() -> None:
    predictor = knowing("irony", -50.0)
    turns = [{"content": "Is it good?"}, {"content": "No."}]
    parts = [{"type": "text", "text": "IRONY!"}]

    assert predictor.asks_cheap(turns)
    assert not predictor.asks_cheap([{"content": parts}, *turns])
    assert not predictor.asks_cheap([*turns, {"content": "irony"}])


def test_a_very_long_conversation_is_read_from_its_end() -> None:
    predictor = knowing("irony", -1000.0)
    long = "a " * CHARACTERS

    assert predictor.asks_cheap([{"content": "irony " + long}])
    assert not predictor.asks_cheap([{"content": long + " irony"}])


def test_weights_of_any_size_give_a_chance() -> None:
    for weight in (-1e9, 1e9):
        assert 0 <= knowing("irony", weight).stays([{"content": "irony"}]) <= 1
