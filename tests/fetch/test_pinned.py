import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from tasks.errors import FetchError, HashMismatchError
from tasks.fetch import hub, pinned
from tasks.fetch.sources import parse
from tests.fetch.conftest import Index, sha256

TEXT = "pypi:demo-data==1.0!extra/inner.tar.gz!inner/rows.txt"


def tar(name: str, content: bytes) -> bytes:
    """A gzipped tar that holds one file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def wheel() -> bytes:
    """A wheel without the data."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("demo_data/__init__.py", "")
    return buffer.getvalue()


def serve(index: Index, rows: bytes) -> None:
    """A wheel, and an sdist with a nested archive."""
    sdist = tar("demo_data-1.0/extra/inner.tar.gz", tar("inner/rows.txt", rows))
    index.files = {"demo_data-1.0.tar.gz": sdist, "demo_data-1.0-py3-none-any.whl": wheel()}


def test_a_nested_member_is_found_in_the_sdist_when_the_wheel_lacks_it(
    index: Index, checkout: Path
) -> None:
    serve(index, b"rows")
    path = pinned.file(parse(TEXT), TEXT, sha256(b"rows"), hub.dataset_file)
    assert path.read_bytes() == b"rows"
    assert path.is_relative_to(checkout / ".stillhouse/scratch/downloads")
    assert [p.name for p in path.parent.iterdir()] == ["rows.txt"]


def test_what_was_fetched_before_needs_no_network(index: Index, checkout: Path) -> None:
    serve(index, b"rows")
    first = pinned.file(parse(TEXT), TEXT, sha256(b"rows"), hub.dataset_file)
    index.failures = 100
    assert pinned.file(parse(TEXT), TEXT, sha256(b"rows"), hub.dataset_file) == first


def test_a_damaged_copy_is_fetched_again(index: Index, checkout: Path) -> None:
    serve(index, b"rows")
    path = pinned.file(parse(TEXT), TEXT, sha256(b"rows"), hub.dataset_file)
    path.write_bytes(b"rust")
    assert pinned.file(parse(TEXT), TEXT, sha256(b"rows"), hub.dataset_file).read_bytes() == b"rows"


def test_a_wrong_hash_stops_with_both_hashes(index: Index, checkout: Path) -> None:
    serve(index, b"rows")
    with pytest.raises(HashMismatchError) as caught:
        pinned.file(parse(TEXT), TEXT, "0" * 64, hub.dataset_file)
    assert "0" * 64 in str(caught.value)
    assert sha256(b"rows") in str(caught.value)


def test_a_member_in_none_of_the_files_is_named(index: Index, checkout: Path) -> None:
    serve(index, b"rows")
    text = "pypi:demo-data==1.0!nowhere.txt"
    with pytest.raises(FetchError, match=r"demo_data-1\.0\.tar\.gz holds no nowhere\.txt"):
        pinned.file(parse(text), text, "0" * 64, hub.dataset_file)


def test_local_files_and_local_archives_are_checked_too(checkout: Path) -> None:
    (checkout / "rows.txt").write_bytes(b"rows")
    (checkout / "a.tar.gz").write_bytes(tar("rows.txt", b"rows"))
    for text in ("path:rows.txt", "path:a.tar.gz!rows.txt"):
        path = pinned.file(parse(text), text, sha256(b"rows"), hub.dataset_file)
        assert path.read_bytes() == b"rows"
        with pytest.raises(HashMismatchError):
            pinned.file(parse(text), text, "1" * 64, hub.dataset_file)
    with pytest.raises(FetchError, match="does not exist; mend the path"):
        pinned.file(parse("path:gone"), "path:gone", "0" * 64, hub.dataset_file)


def test_one_file_of_a_hub_repository_is_pinned_likewise(checkout: Path) -> None:
    (checkout / "cached").write_bytes(b"rows")
    asked = []

    def hub_file(repository: str, revision: str, name: str, cache: Path) -> Path:
        asked.append((repository, revision, name))
        return checkout / "cached"

    text = "hf:org/data@main!rows.csv"
    assert pinned.file(parse(text), text, sha256(b"rows"), hub_file).name == "rows.csv"
    assert asked == [("org/data", "main", "rows.csv")]
