import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from tasks.prepare.text import normalize

AWKWARD = st.text(
    st.sampled_from("a\u0301\u0000\t\n\r \u00a0\u2028\u200b\u2126e\u1100\u1161\ud800")
)


@given(text=st.one_of(st.text(), AWKWARD))
def test_normalizing_twice_changes_nothing(text: str) -> None:
    once = normalize(text)
    assert normalize(once) == once
    assert unicodedata.is_normalized("NFC", once)
    once.encode("utf-8")


def test_blanks_line_ends_and_control_characters_are_plain() -> None:
    assert normalize(" a \u00a0\t b\x00\r\n\r\n\r\n\r\nc \n d ") == "a b\n\nc\nd"
    assert normalize("e\u0301") == "é"
    assert normalize("👩\u200d🔬") == "👩\u200d🔬"
