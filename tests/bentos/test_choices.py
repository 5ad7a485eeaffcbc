import pytest

from bentos.generator.choices import ChoiceTree

END = 0


def spelt(text: str) -> list[int]:
    return [ord(letter) for letter in text]


def test_choice_is_known_after_the_first_token_that_tells_it_apart() -> None:
    tree = ChoiceTree(("negative", "neutral", "positive"), spelt, END)

    assert tree.allowed([]) == spelt("np")
    assert tree.decided(spelt("p")) == "positive"
    assert tree.decided(spelt("ne")) is None
    assert tree.decided(spelt("neg")) == "negative"
    assert tree.depth == 3


def test_choice_that_begins_another_needs_the_end_token() -> None:
    tree = ChoiceTree(("yes", "yes but"), spelt, END)

    assert tree.allowed(spelt("yes")) == [END, ord(" ")]
    assert tree.decided(spelt("yes")) is None
    assert tree.decided([*spelt("yes"), END]) == "yes"
    assert tree.decided(spelt("yes ")) == "yes but"


def test_single_choice_takes_one_token() -> None:
    tree = ChoiceTree(("only",), spelt, END)

    assert tree.depth == 1
    assert tree.decided(spelt("o")) == "only"


def test_nothing_follows_a_complete_choice_but_the_end() -> None:
    tree = ChoiceTree(("a", "b"), spelt, END)

    assert tree.allowed(spelt("a")) == [END]
    assert tree.allowed([*spelt("a"), END]) == [END]


def test_tokens_off_every_path_are_an_error() -> None:
    with pytest.raises(ValueError, match="none of the choices"):
        ChoiceTree(("a", "b"), spelt, END).decided(spelt("c"))


def test_choices_with_the_same_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="same tokens"):
        ChoiceTree(("a", "A"), lambda text: spelt(text.lower()), END)
