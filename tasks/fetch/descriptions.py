"""What Debian's packages say of themselves, in a paragraph and in a line.

    deb:*     format: descriptions
    {"package": "tree", "section": "utils", "description": "Tree is a recursive directory …",
     "synopsis": "displays an indented directory tree, in color"}

One package of every source package, of sections that people choose programs from: libraries all say
the same.
"""

from collections.abc import Iterator

from tasks.fetch.deb import Apt

WORDS = range(25, 91)
SECTIONS = (
    "admin",
    "comm",
    "database",
    "editors",
    "education",
    "electronics",
    "embedded",
    "games",
    "gnome",
    "graphics",
    "hamradio",
    "httpd",
    "kde",
    "mail",
    "math",
    "misc",
    "net",
    "news",
    "science",
    "shells",
    "sound",
    "tex",
    "text",
    "utils",
    "vcs",
    "video",
    "web",
    "x11",
    "xfce",
)


def rows(apt: Apt) -> Iterator[dict[str, str]]:
    """One row a source package, in order of their names."""
    texts = {
        told["Description-md5"]: told["Description-en"]
        for file in apt.descriptions()
        for told in paragraphs(file)
        if told.keys() >= {"Description-md5", "Description-en"}
    }
    for told in _one_a_source(apt.available()):
        synopsis, _, long = texts.get(told.get("Description-md5", ""), "").partition("\n")
        text = _unfolded(long)
        if synopsis and len(text.split()) in WORDS:
            section = told["Section"].rpartition("/")[2]
            yield {
                "package": told["Package"],
                "section": section,
                "description": text,
                "synopsis": synopsis.strip(),
            }


def paragraphs(text: str) -> Iterator[dict[str, str]]:
    """Fields of every paragraph of a control file (deb822(5)); lines of a field stay apart."""
    for paragraph in text.split("\n\n"):
        found: dict[str, str] = {}
        name = ""
        for line in filter(None, paragraph.splitlines()):
            if line[:1] in (" ", "\t"):
                found[name] += "\n" + line
            else:
                name, _, value = line.partition(":")
                found[name] = value.strip()
        if found:
            yield found


def _one_a_source(packages: str) -> list[dict[str, str]]:
    """Of every source package the binary one of its name, else the first by name."""
    chosen: dict[str, dict[str, str]] = {}
    for told in sorted(paragraphs(packages), key=lambda told: told.get("Package", "")):
        if told.get("Section", "").rpartition("/")[2] in SECTIONS:
            name = told["Package"]
            source = told.get("Source", name).partition(" ")[0]
            if source not in chosen or name == source:
                chosen[source] = told
    return [chosen[source] for source in sorted(chosen)]


def _unfolded(text: str) -> str:
    """The words of a long description; a dot alone stands for an empty line."""
    lines = (line for line in text.splitlines() if line.strip() != ".")
    return " ".join(word for line in lines for word in line.split())
