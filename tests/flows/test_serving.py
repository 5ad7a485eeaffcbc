"""What `make serve` hands to the Bento, which works in another folder."""

from pathlib import Path

import pytest

from flows import serving


def test_files_that_the_user_names_from_here_are_told_by_their_whole_paths(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STILLHOUSE_FEEDBACK", raising=False)
    monkeypatch.setenv("STILLHOUSE_KEYS", "keys.json")
    assert serving._named_files() == {"STILLHOUSE_KEYS": str(tmp_path / "keys.json")}
