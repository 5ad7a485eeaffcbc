"""Files of a Hugging Face repository at one revision.

folder = snapshot("HuggingFaceTB/SmolLM2-360M-Instruct", "main", MODEL_FILES, cache)
"""

from collections.abc import Sequence
from pathlib import Path

import httpx
from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tasks.errors import FetchError

UNREACHABLE = "cannot be reached; check the network and HF_TOKEN, or use a local copy with path:"


def snapshot(repository: str, revision: str, patterns: Sequence[str], cache: Path) -> Path:
    """Folder with the files of a model's repository that match `patterns`.

    Raises:
        FetchError: unknown, not permitted, or no network.
    """
    try:
        folder = snapshot_download(
            repository, revision=revision, allow_patterns=list(patterns), cache_dir=cache
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, httpx.HTTPError) as error:
        raise FetchError(f"hf:{repository}@{revision}: {reason(error)}") from error
    return Path(folder)


def dataset_file(repository: str, revision: str, name: str, cache: Path) -> Path:
    """One file of a data set's repository.

    Raises:
        FetchError: unknown, not permitted, or no network.
    """
    return _file(repository, revision, name, "dataset", cache)


def model_file(repository: str, revision: str, name: str, cache: Path) -> Path:
    """One file of a model's repository, such as a GGUF.

    Raises:
        FetchError: unknown, not permitted, or no network.
    """
    return _file(repository, revision, name, "model", cache)


def reason(error: Exception) -> str:
    """What went wrong and what to do, in one sentence."""
    if isinstance(error, RevisionNotFoundError):
        return "no such revision; name a commit, tag or branch of the repository"
    if isinstance(error, RepositoryNotFoundError):
        return "no such repository, or HF_TOKEN may not read it; mend its name or set HF_TOKEN"
    if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
        return "no such file in the repository; mend the name after '!'"
    return UNREACHABLE


def _file(repository: str, revision: str, name: str, kind: str, cache: Path) -> Path:
    try:
        path = hf_hub_download(repository, name, revision=revision, repo_type=kind, cache_dir=cache)
    except (HfHubHTTPError, LocalEntryNotFoundError, EntryNotFoundError, httpx.HTTPError) as error:
        raise FetchError(f"hf:{repository}@{revision}!{name}: {reason(error)}") from error
    return Path(path)
