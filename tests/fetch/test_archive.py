import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from tasks.errors import FetchError
from tasks.fetch.archive import MemberMissingError, extract


def tar(path: Path, *entries: tuple[str, bytes | None]) -> Path:
    """A gzipped tar of files, and of symbolic links where there is no content."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


def zipped(path: Path, *entries: tuple[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


def test_a_member_of_a_zip_and_of_a_tar_is_copied_out(tmp_path: Path) -> None:
    target = tmp_path / "out" / "x"
    extract(zipped(tmp_path / "a.whl", ("pkg/data.bin", b"one")), "pkg/data.bin", target)
    assert target.read_bytes() == b"one"
    extract(tar(tmp_path / "a.tar.gz", ("b/data.bin", b"two")), "b/data.bin", target)
    assert target.read_bytes() == b"two"


def test_the_top_folder_of_an_sdist_may_be_left_out(tmp_path: Path) -> None:
    archive = tar(tmp_path / "p-1.0.tar.gz", ("p-1.0/data/x.txt", b"x"), ("p-1.0/setup.py", b""))
    extract(archive, "data/x.txt", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"x"


def test_a_missing_member_is_named_with_what_there_is(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", ("there.txt", b""))
    with pytest.raises(MemberMissingError, match=r"holds no gone\.txt; it holds there\.txt"):
        extract(archive, "gone.txt", tmp_path / "x")


def test_links_folders_and_climbing_names_are_refused_and_nothing_is_written(
    tmp_path: Path,
) -> None:
    archive = tar(tmp_path / "evil.tar.gz", ("../../evil", b"boo"), ("link", None))
    with pytest.raises(FetchError, match=r"without '\.\.'"):
        extract(archive, "../../evil", tmp_path / "x")
    with pytest.raises(FetchError, match="a link or a folder"):
        extract(archive, "link", tmp_path / "x")
    folder = zipped(tmp_path / "f.zip", ("d/", b""))
    with pytest.raises(FetchError, match=r"relative path|a link or a folder"):
        extract(folder, "d/", tmp_path / "x")
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "l.zip", "w") as opened:
        opened.writestr(link, "/etc/passwd")
    with pytest.raises(FetchError, match="a link or a folder"):
        extract(tmp_path / "l.zip", "link", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_member_above_the_limit_is_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "big.zip", ("big", bytes(5000)))
    with pytest.raises(FetchError, match="5000 bytes, above the limit of 4999"):
        extract(archive, "big", tmp_path / "x", max_bytes=4999)
    assert not list(tmp_path.glob("x*"))


def test_damaged_archives_and_other_files_are_told_apart(tmp_path: Path) -> None:
    whole = tar(tmp_path / "a.tar.gz", ("x", bytes(range(256)) * 400)).read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(whole[: len(whole) - 60])
    with pytest.raises(FetchError, match=r"damaged|neither"):
        extract(tmp_path / "cut.tar.gz", "x", tmp_path / "y")
    (tmp_path / "text").write_text("no archive")
    with pytest.raises(FetchError, match="neither a zip nor a tar"):
        extract(tmp_path / "text", "x", tmp_path / "y")
