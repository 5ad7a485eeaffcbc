"""Who may ask: API keys, of which the service knows hashes only.

    python -m bentos.web.access keys.json add team-a --scope generate     # prints the key, once
    python -m bentos.web.access keys.json revoke team-a

STILLHOUSE_KEYS names the file: {"team-a": {"sha256": "…", "scopes": ["generate"]}}. It is read
again when it has changed, so keys come and go without a restart. Keys are 256 random bits: such a
secret needs no slow hash, which is for passwords that people choose. Without a file the service
answers only those who reach it over loopback.
"""

import argparse
import hashlib
import hmac
import ipaddress
import json
import os
import secrets
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, RootModel, StringConstraints, ValidationError

from bentos.web import json_file

VARIABLE: Final = "STILLHOUSE_KEYS"
PREFIX: Final = "sk-"
KEY_BYTES: Final = 32
SCHEME: Final = "bearer "

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


class Holder(BaseModel):
    """Whose key it is; the key itself is known to its holder alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of the key.")
    scopes: tuple[Name, ...] = Field(min_length=1, description="What it opens.")


class Keys(RootModel[dict[Name, Holder]]):
    """The file's content: holders by name."""


class Access:
    """Tells who a key belongs to.

    Raises:
        ValueError: the file does not hold keys.
        OSError: it cannot be read.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._stamp: tuple[int, int] | None = None
        self._keys: dict[str, Holder] = {}
        if file is not None:
            self._refresh(file)

    @classmethod
    def from_environment(cls) -> "Access":
        """As STILLHOUSE_KEYS says."""
        return cls(json_file.named(VARIABLE))

    @property
    def is_open(self) -> bool:
        """Whether no keys are asked for."""
        return self._file is None

    def holder(self, authorization: str) -> tuple[str, Holder] | None:
        """Whose key a request's header Authorization holds; every key is compared, none shortcut.

        A file that has become unreadable opens nothing.
        """
        if self._file is not None:
            try:
                self._refresh(self._file)
            except (OSError, ValueError):
                return None
        given = authorization[len(SCHEME) :] if authorization.lower().startswith(SCHEME) else ""
        digest = sha256(given.strip())
        found = None
        for name, known in self._keys.items():
            if hmac.compare_digest(digest, known.sha256):
                found = name, known
        return found

    def _refresh(self, file: Path) -> None:
        facts = file.stat()
        stamp = facts.st_mtime_ns, facts.st_ino
        if stamp != self._stamp:
            self._keys, self._stamp = dict(read(file)), stamp


@lru_cache(maxsize=64)
def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own; a path (a Unix socket's) is, too."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.startswith("/")


def sha256(key: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def read(file: Path) -> Mapping[str, Holder]:
    """Holders by name.

    Raises:
        ValueError: the file does not hold keys; what it holds is not told.
    """
    try:
        return Keys.model_validate_json(file.read_bytes()).root
    except ValidationError as error:
        where = [".".join(map(str, problem["loc"])) or "file" for problem in error.errors()]
        raise ValueError(
            f"{file}: not a file of keys (see {', '.join(where)}); make one with "
            f"`python -m bentos.web.access {file} add NAME --scope SCOPE`"
        ) from None


def add(file: Path, name: str, scopes: Sequence[str]) -> str:
    """Give `name` a new key with these scopes, in place of one that it has; returns the key."""
    keys = dict(read(file)) if file.exists() else {}
    key = PREFIX + secrets.token_urlsafe(KEY_BYTES)
    keys[name] = Holder(sha256=sha256(key), scopes=tuple(scopes))
    _write(file, Keys(keys))
    return key


def revoke(file: Path, name: str) -> None:
    """Take the key of `name` away.

    Raises:
        ValueError: there is none.
    """
    keys = dict(read(file))
    if name not in keys:
        raise ValueError(f"{file}: no key of {name}; there are those of {', '.join(keys) or '-'}")
    del keys[name]
    _write(file, Keys(keys))


def _write(file: Path, keys: Keys) -> None:
    """In one step, readable by its owner alone."""
    text = json.dumps(keys.model_dump(mode="json"), indent=2) + "\n"
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(text)
    Path(name).replace(file)


def main(arguments: list[str]) -> int:
    """Add or revoke a key."""
    parser = argparse.ArgumentParser(prog="python -m bentos.web.access", description=__doc__)
    parser.add_argument("file", type=Path)
    actions = parser.add_subparsers(dest="action", required=True)
    adding = actions.add_parser("add", help="make a key, or another one in its place")
    adding.add_argument("name")
    adding.add_argument("--scope", action="append", required=True)
    revoking = actions.add_parser("revoke", help="take a key away")
    revoking.add_argument("name")
    told = parser.parse_args(arguments)
    try:
        if told.action == "add":
            print(add(told.file, told.name, told.scope))
        else:
            revoke(told.file, told.name)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
