"""Text in one form, whatever wrote it.

normalize(" Effective  but\\r\\n too tepid ") -> "Effective but\\ntoo tepid"
"""

import json
import re
import unicodedata

_BLANKS = re.compile(r"[^\S\n]+")
_LINES = re.compile(r" ?\n ?")
_PARAGRAPHS = re.compile(r"\n{3,}")
_NEWLINES = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")


def normalize(text: str) -> str:
    """NFC, plain newlines, single blanks, at most one empty line, no control characters.

    Applying it twice changes nothing.
    """
    text = _NEWLINES.sub("\n", text)
    if not text.isprintable():
        text = "".join(
            c for c in text if c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cs"}
        )
    text = _BLANKS.sub(" ", unicodedata.normalize("NFC", text))
    return _PARAGRAPHS.sub("\n\n", _LINES.sub("\n", text)).strip()


def plain(value: object) -> str:
    """A value as text: itself, or as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
