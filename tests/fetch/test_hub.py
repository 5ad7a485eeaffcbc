import os
from pathlib import Path

import httpx
import pytest
from huggingface_hub.errors import (
    LocalEntryNotFoundError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tasks.errors import FetchError
from tasks.fetch import hub

ANSWER = httpx.Response(404, request=httpx.Request("GET", "https://hub"))


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (RevisionNotFoundError("x", response=ANSWER), "no such revision"),
        (RepositoryNotFoundError("x", response=ANSWER), "no such repository, or HF_TOKEN"),
        (RemoteEntryNotFoundError("x", response=ANSWER), "no such file in the repository"),
        (LocalEntryNotFoundError("x"), "check the network"),
        (httpx.ConnectError("x"), "check the network"),
    ],
)
def test_every_failure_is_one_sentence_with_its_remedy(
    error: Exception, remedy: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object, **__: object) -> str:
        raise error

    monkeypatch.setattr(hub, "snapshot_download", fail)
    monkeypatch.setattr(hub, "hf_hub_download", fail)
    with pytest.raises(FetchError, match=f"hf:org/m@r: .*{remedy}"):
        hub.snapshot("org/m", "r", ("*.safetensors",), tmp_path)
    with pytest.raises(FetchError, match=f"hf:org/m@r!x: .*{remedy}"):
        hub.model_file("org/m", "r", "x", tmp_path)


def test_only_the_wanted_patterns_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: dict[str, object] = {}

    def snapshot_download(repository: str, **options: object) -> str:
        asked.update(options, repository=repository)
        return os.fspath(tmp_path)

    monkeypatch.setattr(hub, "snapshot_download", snapshot_download)
    assert hub.snapshot("org/m", "r", ("config.json",), tmp_path) == tmp_path
    assert asked["allow_patterns"] == ["config.json"]
    assert asked["revision"] == "r"
