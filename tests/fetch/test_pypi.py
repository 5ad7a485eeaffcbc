import socket
from pathlib import Path

import pytest

from tasks.errors import FetchError, HashMismatchError
from tasks.fetch import pypi
from tests.fetch.conftest import Index, use_index

WHEEL = "demo_data-1.0-py3-none-any.whl"
SDIST = "demo_data-1.0.tar.gz"


def test_pips_index_is_asked_and_wheels_come_before_the_sdist(index: Index) -> None:
    index.files = {SDIST: b"s", WHEEL: b"w", "demo_data-2.0.tar.gz": b"n"}
    assert [file.filename for file in pypi.candidates("demo.data", "1.0")] == [WHEEL, SDIST]


def test_a_download_is_verified_kept_and_not_repeated(index: Index, tmp_path: Path) -> None:
    index.files = {WHEEL: b"content" * 1000}
    file = pypi.candidates("demo-data", "1.0")[0]
    path = pypi.download(file, tmp_path)
    assert path.read_bytes() == b"content" * 1000
    assert pypi.download(file, tmp_path) == path
    assert index.requests[f"/files/{WHEEL}"] == 1


def test_a_broken_download_is_resumed_where_it_stopped(index: Index, tmp_path: Path) -> None:
    index.files = {WHEEL: bytes(range(256)) * 4000}
    file = pypi.candidates("demo-data", "1.0")[0]
    index.cut_after = 600_000
    assert pypi.download(file, tmp_path).read_bytes() == index.files[WHEEL]
    assert len(index.ranges) == 1
    assert index.ranges[0] != "bytes=0-"


def test_a_part_left_by_a_killed_run_is_resumed(index: Index, tmp_path: Path) -> None:
    index.files = {WHEEL: b"0123456789"}
    (tmp_path / f"{WHEEL}.part").write_bytes(b"0123")
    file = pypi.candidates("demo-data", "1.0")[0]
    assert pypi.download(file, tmp_path).read_bytes() == b"0123456789"
    assert index.ranges == ["bytes=4-"]


def test_other_content_than_announced_is_refused_with_both_hashes(
    index: Index, tmp_path: Path
) -> None:
    index.files, index.announced = {WHEEL: b"tampered"}, {WHEEL: "ab" * 32}
    file = pypi.candidates("demo-data", "1.0")[0]
    with pytest.raises(HashMismatchError, match="ab" * 32 + ".*got [0-9a-f]{64}"):
        pypi.download(file, tmp_path)
    assert not [p for p in tmp_path.iterdir() if p.suffix != ".lock"]


def test_passing_failures_are_tried_again(index: Index) -> None:
    index.files, index.failures = {WHEEL: b"w"}, pypi.ATTEMPTS - 1
    assert pypi.candidates("demo-data", "1.0")[0].filename == WHEEL


def test_lasting_failures_end_in_one_sentence_without_the_password(index: Index) -> None:
    index.files, index.failures = {WHEEL: b"w"}, pypi.ATTEMPTS
    with pytest.raises(FetchError, match=r"answered 503; check the network") as caught:
        pypi.candidates("demo-data", "1.0")
    assert "secret" not in str(caught.value)


def test_unknown_packages_and_versions_are_told_apart(index: Index) -> None:
    index.files = {WHEEL: b"w"}
    with pytest.raises(FetchError, match=r"no such version; there are 1\.0"):
        pypi.candidates("demo-data", "9.9")
    with pytest.raises(FetchError, match="no such package on"):
        pypi.candidates("another", "1.0")


def test_without_a_network_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    use_index(monkeypatch, f"http://127.0.0.1:{port}/simple")
    with pytest.raises(FetchError, match=r"cannot be reached; check the network .* or use .*path:"):
        pypi.candidates("demo-data", "1.0")
    pypi._pip_settings.cache_clear()
