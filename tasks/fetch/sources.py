"""Where weights and data come from, as one line of text.

    pypi:vaderSentiment==3.3.2!additional_resources/hutto_ICWSM_2014.tar.gz!hutto_ICWSM_2014/x.txt
    hf:HuggingFaceTB/SmolLM2-360M-Instruct@4f1a2c9
    path:/data/reviews.jsonl
    deb:libreoffice-help-en-us,libreoffice-help-fr

`!` steps into an archive, as often as needed.
"""

import re
from dataclasses import dataclass

_PYPI = re.compile(r"^(?P<package>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^!\s]+)$")
_HUB = re.compile(r"^(?P<repository>[\w.-]+(?:/[\w.-]+)?)@(?P<revision>[\w./-]+)$")
_DEB = re.compile(r"^[a-z0-9][a-z0-9.+-]+(?:=[A-Za-z0-9.+:~-]+)?$")
FILE_FORMS = "pypi:<package>==<version>!<file>, hf:<id>@<revision> or path:<file or folder>"
FORMS = f"{FILE_FORMS}, or deb:<package>,<package> for data"


@dataclass(frozen=True)
class PypiSource:
    """A file inside a distribution on the Python package index."""

    package: str
    version: str
    members: tuple[str, ...]


@dataclass(frozen=True)
class HubSource:
    """A Hugging Face repository at a revision, or with `members` one file of it."""

    repository: str
    revision: str
    members: tuple[str, ...]


@dataclass(frozen=True)
class PathSource:
    """A local file or folder, or with `members` a file inside a local archive."""

    path: str
    members: tuple[str, ...]


@dataclass(frozen=True)
class DebSource:
    """Debian packages, each `name` or `name=version`; none stands for the index of all."""

    packages: tuple[str, ...]


FileSource = PypiSource | HubSource | PathSource
"""What a file or folder is taken from."""

Source = FileSource | DebSource


def parse(text: str) -> Source:
    """The source that a line names.

    Raises:
        ValueError: not one of the four forms, or a member that leaves its archive.
    """
    scheme, _, rest = text.partition(":")
    head, *members = rest.split("!")
    for member in members:
        check_member(member)
    match scheme:
        case "pypi":
            return _pypi(head, tuple(members))
        case "hf":
            return _hub(head, tuple(members))
        case "path":
            if not head:
                raise ValueError("path: names no file or folder")
            return PathSource(head, tuple(members))
        case "deb":
            return _deb(rest)
    raise ValueError(f"must be {FORMS}")


def parse_file(text: str) -> FileSource:
    """The source of a file or folder that a line names.

    Raises:
        ValueError: not such a form, as with `parse`.
    """
    found = parse(text)
    if isinstance(found, DebSource):
        raise ValueError(f"must be {FILE_FORMS}")
    return found


def check_member(name: str) -> None:
    """Refuse the name of an archive's member that is empty, absolute or climbs out.

    Raises:
        ValueError: such a name.
    """
    parts = name.split("/")
    if not name or name.startswith("/") or ".." in parts or "" in parts or "\\" in name:
        raise ValueError(f"archive member {name!r} must be a plain relative path without '..'")


def _pypi(head: str, members: tuple[str, ...]) -> PypiSource:
    match = _PYPI.match(head)
    if match is None:
        raise ValueError("pypi: needs an exact version, as in pypi:<package>==<version>!<file>")
    if not members:
        raise ValueError(
            "pypi: needs the file inside the package, as in pypi:<package>==<version>!<file>"
        )
    return PypiSource(match["package"], match["version"], members)


def _hub(head: str, members: tuple[str, ...]) -> HubSource:
    match = _HUB.match(head)
    if match is None:
        raise ValueError("hf: needs a revision (a commit is best), as in hf:<id>@<revision>")
    return HubSource(match["repository"], match["revision"], members)


def _deb(rest: str) -> DebSource:
    names = () if rest == "*" else tuple(rest.split(","))
    if not all(_DEB.match(name) for name in names):
        raise ValueError("deb: needs names of packages, as in deb:<package>,<package>, or deb:*")
    return DebSource(names)
