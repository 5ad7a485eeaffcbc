"""What figures were measured on."""

from pathlib import Path

import pytest

from tasks import evaluation_report


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("model name\t: X\nflags\t\t: fpu avx2 avx512f avx512_vnni\n", "avx512_vnni"),
        ("flags\t\t: fpu avx2 sse\nflags\t\t: fpu avx2\n", "avx2"),
        ("Features\t: fp asimd asimddp\n", "asimddp"),
        ("flags\t\t: fpu sse\n", "none of these"),
        ("", "none of these"),
    ],
)
def test_processors_of_one_name_are_told_apart_by_their_instructions(
    said: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: said)
    assert evaluation_report.hardware()["instructions"] == told
