from pathlib import Path

import pytest

from tasks.errors import DataError
from tasks.prepare import pipeline, scan
from tasks.prepare.config import Prepare
from tests.prepare.conftest import TASK, write_raw

CONFIG = Prepare.model_validate(
    {"fields": {"text": "text"}, "reference": {"column": "label"}, "label_noise_rows": 0}
)


def rows() -> list[dict[str, object]]:
    """Some that differ, some duplicates, some that cannot be used."""
    made: list[dict[str, object]] = [
        {"text": f"é {n * 7919} is one and {n * 104729} another", "label": TASK.labels[n % 2]}
        for n in range(400)
    ]
    return made + made[:20] + [{"text": "", "label": "positive"}, {"text": "x", "label": "?"}]


def test_neither_parts_nor_processes_change_a_byte(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_raw(rows())
    files = [*pipeline.FILES.values(), pipeline.QUARANTINE]
    whole = pipeline.run(CONFIG, TASK)
    expected = [file.read_bytes() for file in files]
    monkeypatch.setattr(scan, "PART_BYTES", 3000)
    for processes in (1, 2):
        assert pipeline.run(CONFIG, TASK, processes) == whole
        assert [file.read_bytes() for file in files] == expected


def test_an_error_in_another_process_is_told_as_it_is(checkout: Path) -> None:
    (checkout / "empty.jsonl").touch()
    write_raw(rows())
    with pytest.raises(DataError, match="holds no text"):
        pipeline.run(CONFIG.model_copy(update={"benchmarks": ("empty.jsonl",)}), TASK, 2)


@pytest.mark.parametrize("size", [1, 50, 10_000])
def test_parts_end_with_lines_and_cover_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    file = tmp_path / "rows"
    file.write_bytes(b"".join(b"x" * (n % 90) + b"\n" for n in range(200)))
    monkeypatch.setattr(scan, "PART_BYTES", size)
    data, at = file.read_bytes(), 0
    for start, length in scan._ranges(file):
        assert start == at
        at += length
        assert data[at - 1 : at] == b"\n"
    assert at == len(data)
