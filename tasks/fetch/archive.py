"""One member of a wheel, sdist, zip or tar file, copied out under a name of our own choice.

    extract(Path("vaderSentiment-3.3.2.tar.gz"), "LICENSE.txt", Path("scratch/LICENSE.txt"))

Nothing is ever written to a path that the archive names.
"""

import os
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from tasks.errors import FetchError
from tasks.fetch.sources import check_member

MAX_BYTES = 64 * 10**9
"""Largest member that is taken out; a declared or an actual size above it is an error."""

_BLOCK = 1 << 20


class MemberMissingError(FetchError):
    """The archive holds no such member."""


def extract(archive: Path, member: str, target: Path, max_bytes: int = MAX_BYTES) -> None:
    """Copy `member` of `archive` to `target`, whole or not at all.

    The member may leave out the folder that holds everything in an sdist (`name-version/`).

    Raises:
        MemberMissingError: no such member.
        FetchError: no archive, or the member is a link, a folder or too large.
    """
    try:
        if zipfile.is_zipfile(archive):
            _from_zip(archive, member, target, max_bytes)
        elif tarfile.is_tarfile(archive):
            _from_tar(archive, member, target, max_bytes)
        else:
            raise FetchError(
                f"{archive.name}: neither a zip nor a tar file; mend the '!' of source"
            )
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, RuntimeError) as error:
        raise FetchError(f"{archive.name}!{member}: damaged or encrypted: {error}") from error


def _from_zip(archive: Path, member: str, target: Path, max_bytes: int) -> None:
    with zipfile.ZipFile(archive) as opened:
        entry = opened.getinfo(_locate(archive, member, opened.namelist()))
        is_link = (entry.external_attr >> 16) & 0o170000 == 0o120000
        if entry.is_dir() or is_link:
            raise FetchError(f"{archive.name}!{member}: a link or a folder; name a plain file")
        _check_size(archive, member, entry.file_size, max_bytes)
        with opened.open(entry) as stream:
            _copy(stream, target, f"{archive.name}!{member}", max_bytes)


def _from_tar(archive: Path, member: str, target: Path, max_bytes: int) -> None:
    with tarfile.open(archive) as opened:
        entry = opened.getmember(_locate(archive, member, opened.getnames()))
        stream = opened.extractfile(entry) if entry.isreg() else None
        if stream is None:
            raise FetchError(f"{archive.name}!{member}: a link or a folder; name a plain file")
        _check_size(archive, member, entry.size, max_bytes)
        with stream:
            _copy(stream, target, f"{archive.name}!{member}", max_bytes)


def _locate(archive: Path, member: str, names: Sequence[str]) -> str:
    try:
        check_member(member)
    except ValueError as error:
        raise FetchError(f"{archive.name}: {error}") from error
    if member in names:
        return member
    tops = {name.split("/", 1)[0] for name in names}
    inside = f"{next(iter(tops))}/{member}" if len(tops) == 1 else member
    if inside in names:
        return inside
    shown = ", ".join(sorted(names)[:8])
    raise MemberMissingError(f"{archive.name} holds no {member}; it holds {shown} …")


def _check_size(archive: Path, member: str, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise FetchError(f"{archive.name}!{member}: {size} bytes, above the limit of {max_bytes}")


def _copy(stream: IO[bytes], target: Path, label: str, max_bytes: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    copied = 0
    try:
        with part.open("wb") as sink:
            while block := stream.read(_BLOCK):
                copied += len(block)
                # The size in an archive's directory is the archive's own claim.
                if copied > max_bytes:
                    raise FetchError(f"{label}: more than the limit of {max_bytes} bytes")
                sink.write(block)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
