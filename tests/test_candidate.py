"""Machine time travels in a candidate's lineage."""

from pathlib import Path

import pytest

from tasks import candidate, paths
from tasks.config import Config


def test_machine_time_of_all_that_a_candidate_is_made_from_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, parent, also in (
        ("finetune/lora", None, {}),
        ("distill/small", "finetune/lora", {"label/lora": 55.5}),
        ("quantize/small", "distill/small", {}),
    ):
        candidate.fresh_folder(name)
        candidate.write(candidate.describe(name, parent, Config(), also=also))
    seconds = candidate.machine_seconds(paths.candidate("quantize/small"))
    assert list(seconds) == ["finetune/lora", "label/lora", "distill/small", "quantize/small"]
    assert seconds["label/lora"] == 55.5
    assert min(seconds.values()) > 0


def test_a_candidate_without_lineage_tells_no_machine_time(tmp_path: Path) -> None:
    assert candidate.machine_seconds(tmp_path) == {}
