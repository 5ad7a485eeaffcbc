"""Sentences of one manual in two languages, from LibreOffice's help packages.

    deb:libreoffice-help-en-us,libreoffice-help-fr     format: help_pages
    {"page": "shared/optionen/01010400.html", "id": "par_id3154749",
     "source": "Choose a language.", "target": "Choisissez une langue."}

Pages have the same names in every language and their paragraphs the same ids: translators worked
paragraph by paragraph. What is left as it was, or has too few or too many words, is no pair.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from lxml import html

from tasks.errors import FetchError
from tasks.fetch.deb import members

WORDS = range(4, 61)
"""Shorter ones are mostly names of buttons, longer ones are lists run together."""

PLACE = "/help/"
"""A page is .../help/<language>/text/<page>."""

BLOCKS = "//*[self::p or self::h1 or self::h2 or self::h3 or self::h4 or self::h5][@id]"


def rows(source: Path, target: Path) -> Iterator[dict[str, str]]:
    """The pairs of two packages, page by page in order of their names.

    Raises:
        FetchError: a package without help pages.
    """
    ours, theirs = _pages(source), _pages(target)
    for page in sorted(ours.keys() & theirs.keys()):
        left, right = _paragraphs(ours[page]), _paragraphs(theirs[page])
        for id_, text in left.items():
            other = right.get(id_, "")
            if text != other and all(len(each.split()) in WORDS for each in (text, other)):
                yield {"page": page, "id": id_, "source": text, "target": other}


def _pages(package: Path) -> dict[str, bytes]:
    found = {}
    for path, content in members(package, ".html"):
        _, _, inside = path.partition(PLACE)
        _, _, page = inside.partition("/text/")
        if page:
            found[page] = content
    if not found:
        raise FetchError(f"{package.name}: holds no pages below {PLACE}<language>/text/")
    return found


def _paragraphs(page: bytes) -> Mapping[str, str]:
    """Texts by id; an id that stands twice names nothing."""
    found: dict[str, str] = {}
    twice = set()
    for block in html.document_fromstring(page, html.HTMLParser(encoding="utf-8")).xpath(BLOCKS):
        id_ = str(block.get("id"))
        if id_ in found:
            twice.add(id_)
        found[id_] = " ".join(block.text_content().split())
    return {id_: text for id_, text in found.items() if id_ not in twice}
