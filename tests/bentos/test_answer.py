from hypothesis import given, settings
from hypothesis import strategies as st

from bentos.generator.answer import Answer, Detokenizer
from bentos.generator.choices import ChoiceTree
from bentos.generator.decoding import Decoding
from bentos.generator.prompt import Renderer


def streamed(renderer: Renderer, text: str, stop: tuple[str, ...] = ()) -> list[str]:
    detokenizer = Detokenizer(renderer.decode, stop)
    pieces = []
    for token in renderer.encode(text):
        pieces.append(detokenizer.push(token))
        if detokenizer.stopped:
            return pieces
    return [*pieces, detokenizer.finish()]


@given(text=st.text(max_size=40))
@settings(max_examples=200)
def test_pieces_add_up_to_the_text(renderer: Renderer, text: str) -> None:
    plain = renderer.neutralize(text)

    assert "".join(streamed(renderer, plain)) == plain


def test_character_of_four_tokens_comes_whole(renderer: Renderer) -> None:
    pieces = streamed(renderer, "a😀é")

    assert [piece for piece in pieces if piece] == ["a", "😀", "é"]


@given(
    before=st.text(alphabet="aBS", max_size=8),
    after=st.text(alphabet="aBS", max_size=8),
    stop=st.text(alphabet="BS", min_size=1, max_size=3),
)
@settings(max_examples=200)
def test_nothing_at_or_after_a_stop_text_comes_out(
    renderer: Renderer, before: str, after: str, stop: str
) -> None:
    text = before + stop + after

    assert "".join(streamed(renderer, text, (stop,))) == text[: text.index(stop)]


def test_text_that_only_begins_like_a_stop_comes_out_at_the_end(renderer: Renderer) -> None:
    assert "".join(streamed(renderer, "abST", ("STOP",))) == "abST"


def answer(renderer: Renderer, decoding: Decoding, limit: int = 99) -> Answer:
    tree = None
    if decoding.choices:
        tree = ChoiceTree(decoding.choices, renderer.encode, end=1)
    return Answer(renderer, decoding, tree, end_ids={1}, limit=limit)


def test_end_token_ends_the_answer_and_is_left_out(renderer: Renderer) -> None:
    one = answer(renderer, Decoding())

    one.push([*renderer.encode("ab"), 1, *renderer.encode("c")])

    assert (one.text, one.finish_reason, one.tokens) == ("ab", "stop", 3)


def test_limit_cuts_the_answer_off(renderer: Renderer) -> None:
    one = answer(renderer, Decoding(), limit=2)

    one.push(renderer.encode("abc"))

    assert (one.text, one.finish_reason, one.tokens) == ("ab", "length", 2)


def test_stop_text_ends_the_answer(renderer: Renderer) -> None:
    one = answer(renderer, Decoding(stop=("\n",)))

    one.push(renderer.encode("ab\ncd"))

    assert (one.text, one.finish_reason) == ("ab", "stop")


def test_choice_is_given_in_full_after_one_token(renderer: Renderer) -> None:
    one = answer(renderer, Decoding(choices=("negative", "positive")))

    piece = one.push(renderer.encode("positive")[:1])

    assert (piece, one.finish_reason, one.tokens) == ("positive", "stop", 1)
