"""What a service is told by files, and where they are."""

from pathlib import Path

import pytest

from bentos.web import json_file
from bentos.web.limits import Limits


def test_a_file_is_read_or_named_with_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "limits.json"
    with pytest.raises(FileNotFoundError, match=r"holds no limits\.json: make one"):
        json_file.read(file, Limits, "make one")
    file.write_text('{"body_bytes": 5000}')
    assert json_file.read(file, Limits).body_bytes == 5000
    file.write_text('{"surprise": 1}')
    with pytest.raises(ValueError, match=r"limits\.json is not valid(.|\n)*surprise"):
        json_file.read(file, Limits)


def test_a_path_that_depends_on_the_folder_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("TOLD", raising=False)
    assert json_file.named("TOLD") is None
    monkeypatch.setenv("TOLD", str(tmp_path))
    assert json_file.named("TOLD") == tmp_path
    monkeypatch.setenv("TOLD", "keys.json")
    with pytest.raises(ValueError, match=r"TOLD = keys\.json: give the whole path, such as /"):
        json_file.named("TOLD")
