"""A distribution's file from the Python package index, without running any of its code.

    for file in candidates("vaderSentiment", "3.3.2"): path = download(file, folder)

The index, its mirror and certificates are those that pip is configured with.
"""

import ast
import functools
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import requests
from filelock import FileLock
from packaging.version import InvalidVersion, Version
from pypi_simple import (
    PYPI_SIMPLE_ENDPOINT,
    DistributionPackage,
    NoSuchProjectError,
    PyPISimple,
    UnsupportedContentTypeError,
)

from tasks.errors import FetchError, HashMismatchError
from tasks.progress import Progress

ATTEMPTS = 3
BACKOFF_SECONDS = 2.0
TIMEOUT_SECONDS = (15.0, 60.0)
"""To connect, and between two blocks."""

_BLOCK = 1 << 18
_REMEDY = "check the network and pip's index-url, or use a local copy with path:"

T = TypeVar("T")


def candidates(package: str, version: str) -> list[DistributionPackage]:
    """Files of one version, in the order in which to look into them: wheels for any platform,
    the sdist, other wheels.

    Raises:
        FetchError: no index can be reached, or none has the version.
    """
    versions: set[str] = set()
    for index in indexes():
        files = _with_retries(index, lambda index=index: _project(index, package))  # type: ignore[misc]
        found = [file for file in files if _same_version(file.version, version)]
        if found:
            return sorted(found, key=_preference)
        versions |= {file.version for file in files if file.version}
    if versions:
        known = ", ".join(sorted(versions)[-10:])
        raise FetchError(f"pypi:{package}=={version}: no such version; there are {known}")
    raise FetchError(f"pypi:{package}: no such package on {', '.join(map(_public, indexes()))}")


def download(file: DistributionPackage, folder: Path) -> Path:
    """The file in `folder`: kept when its hash is right, resumed when it is half there.

    Raises:
        FetchError: the network fails three times, or the index states no hash.
        HashMismatchError: what arrived is not what the index announced.
    """
    expected = file.digests.get("sha256")
    if expected is None:
        raise FetchError(f"{file.filename}: the index states no sha256; use another index or path:")
    target = folder / Path(file.filename).name
    with FileLock(f"{target}.lock"):
        if target.is_file() and _sha256(target) == expected:
            return target
        part = target.with_name(target.name + ".part")
        _with_retries(file.url, lambda: _stream(file, part))
        actual = _sha256(part)
        if actual != expected:
            part.unlink()
            raise HashMismatchError(_public(file.url), expected, actual)
        os.replace(part, target)
    return target


def indexes() -> list[str]:
    """Addresses of the simple indexes that pip would ask over HTTP, the main one first."""
    settings = _pip_settings()
    main = settings.get("index-url", PYPI_SIMPLE_ENDPOINT)
    extra = settings.get("extra-index-url", "").split()
    return [url for url in (main, *extra) if urlsplit(url).scheme in {"http", "https"}]


@functools.cache
def _pip_settings() -> dict[str, str]:
    # pip alone knows where its configuration files lie and which of them wins.
    command = [sys.executable, "-m", "pip", "config", "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    levels: dict[str, dict[str, str]] = {"global": {}, "download": {}, ":env:": {}}
    for line in done.stdout.splitlines():
        key, _, value = line.partition("=")
        level, _, name = key.partition(".")
        if level in levels:
            levels[level][name] = str(ast.literal_eval(value))
    return levels["global"] | levels["download"] | levels[":env:"]


def _session() -> requests.Session:
    session = requests.Session()
    certificates = _pip_settings().get("cert") or os.environ.get("SSL_CERT_FILE")
    if certificates:
        session.verify = certificates
    return session


def _project(index: str, package: str) -> Sequence[DistributionPackage]:
    with PyPISimple(index, session=_session()) as client:
        try:
            return client.get_project_page(package, timeout=TIMEOUT_SECONDS).packages
        except NoSuchProjectError:
            return []
        except UnsupportedContentTypeError as error:
            remedy = "is no package index (PEP 503 or 691); mend pip's index-url"
            raise FetchError(f"{_public(index)} {remedy}") from error


def _stream(file: DistributionPackage, part: Path) -> None:
    """Append to `part` what is missing of the file."""
    part.parent.mkdir(parents=True, exist_ok=True)
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with _session() as session:
        answer = session.get(file.url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS)
        with answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                return  # All of it is there; the hash decides.
            answer.raise_for_status()
            resumed = answer.status_code == requests.codes.partial_content
            with part.open("ab" if resumed else "wb") as sink:
                for block in _shown(answer, file.filename, have if resumed else 0):
                    sink.write(block)


def _shown(answer: requests.Response, name: str, have: int) -> Iterator[bytes]:
    length = answer.headers.get("Content-Length")
    progress = Progress("download", have + int(length)) if length else None
    if progress and have:
        progress.advance(have, name)
    for block in answer.iter_content(_BLOCK):
        yield block
        if progress:
            progress.advance(len(block), name)


def _with_retries(url: str, attempt: Callable[[], T]) -> T:
    """The result of `attempt`, tried again after failures that may pass."""
    for number in range(1, ATTEMPTS + 1):
        try:
            return attempt()
        except requests.RequestException as error:
            if number == ATTEMPTS or _is_final(error):
                raise FetchError(f"{_public(url)}: {_reason(error)}; {_REMEDY}.") from error
            time.sleep(BACKOFF_SECONDS * 2 ** (number - 1))
    raise FetchError(f"{_public(url)}: not tried; {_REMEDY}.")


def _is_final(error: requests.RequestException) -> bool:
    status = error.response.status_code if error.response is not None else None
    temporary = status is None or status >= 500 or status in {408, 429}
    return not temporary or isinstance(error, requests.exceptions.SSLError)


def _reason(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"the server answered {error.response.status_code}"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted (set PIP_CERT or REQUESTS_CA_BUNDLE)"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    return "cannot be reached"


def _public(url: str) -> str:
    """The address without a user's name and password."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def _same_version(found: str | None, wanted: str) -> bool:
    try:
        return found is not None and Version(found) == Version(wanted)
    except InvalidVersion:
        return found == wanted


def _preference(file: DistributionPackage) -> tuple[int, str]:
    if file.package_type == "wheel":
        return (0 if file.filename.endswith("-any.whl") else 2), file.filename
    return (1 if file.package_type == "sdist" else 3), file.filename


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
