"""Debian packages and their index, by a private apt that changes nothing on the system.

    apt = Apt(folder, "deb:libreoffice-help-en-us,libreoffice-help-fr")
    for path, content in members(apt.download("libreoffice-help-fr"), ".html"): ...

Needs no root: lists, downloads and logs lie in `folder`; sources and keys are the system's, so that
every list and package is verified by apt. Nothing is installed, no script of a package and no hook
of the system runs, and nothing is written to a path that a package names.
"""

import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

from tasks.errors import FetchError

SECONDS = 600
MAX_BYTES = 64 * 10**6
"""Largest member that is read; larger ones are no text for people."""

NO_HOOKS = "#clear APT::Update;\n"
"""Settings that are read after the system's: programs that it runs around an update are forgotten,
all else, such as proxies, stays in force. What it runs around an installation has no occasion."""


class Apt:
    """One private apt, with fresh lists."""

    def __init__(self, folder: Path, source: str) -> None:
        """Fetch the lists.

        Args:
            folder: for everything that apt keeps; made when missing.
            source: how errors call what was asked for.

        Raises:
            FetchError: no apt here, or the lists cannot be had.
        """
        self._folder, self._source = folder.absolute(), source
        for name in ("apt-get", "apt-cache", "dpkg-deb"):
            if shutil.which(name) is None:
                raise FetchError(
                    f"{source}: {name} is not found; deb: works on Debian and Ubuntu. Elsewhere, "
                    "fetch on such a machine, take data/raw/records.jsonl along, and name it as "
                    "path:records.jsonl with format: jsonl"
                )
        for name in ("state/lists/partial", "cache/archives/partial", "log", "packages"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        (self._folder / "status").touch()
        (self._folder / "apt.conf").write_text(NO_HOOKS)
        self._run("apt-get", "update")

    def download(self, package: str) -> Path:
        """The .deb of a package, `name` or `name=version`.

        Raises:
            FetchError: there is none of that name or version.
        """
        target = self._folder / "packages" / package.partition("=")[0]
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        self._run("apt-get", "download", package, folder=target)
        [found] = target.glob("*.deb")
        return found

    def available(self) -> str:
        """Paragraphs of all packages, as in a Packages file."""
        return self._run("apt-cache", "dumpavail")

    def descriptions(self) -> Iterator[str]:
        """Files of the English descriptions, as in a Translation file."""
        listed = self._run("apt-get", "indextargets", "--format", "$(CREATED_BY) $(FILENAME)")
        for line in listed.splitlines():
            kind, _, file = line.partition(" ")
            if kind == "Translations":
                yield self._run("/usr/lib/apt/apt-helper", "cat-file", file)

    def _run(self, *command: str, folder: Path | None = None) -> str:
        options = {
            "Dir::State": self._folder / "state",
            "Dir::State::status": self._folder / "status",
            "Dir::Cache": self._folder / "cache",
            "Dir::Log": self._folder / "log",
            "APT::Sandbox::User": "",
            "Acquire::Languages": "en",
            "Acquire::Retries": 3,
            # By default, lists that could not be had are a warning.
            "APT::Update::Error-Mode": "any",
        }
        told = ["-c", str(self._folder / "apt.conf")]
        told += [part for key, value in options.items() for part in ("-o", f"{key}={value}")]
        try:
            done = subprocess.run(
                [command[0], "-q", *told, *command[1:]],
                cwd=folder or self._folder,
                env={**os.environ, "LC_ALL": "C.UTF-8"},
                capture_output=True,
                text=True,
                check=False,
                timeout=SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise FetchError(
                f"{self._source}: {command[0]} took over {SECONDS} s; check the network"
            ) from error
        if done.returncode:
            raise FetchError(
                f"{self._source}: {' '.join(command[:3])} failed: {_reason(done.stderr)}. Check "
                "the network, the system's apt sources (that `apt-get update` works) and the name "
                "and version of the package"
            )
        return done.stdout


def _reason(errors: str) -> str:
    """apt's own words, without the addresses, which may hold a password."""
    lines = [line for line in errors.splitlines() if line.startswith("E:")]
    words = " ".join(lines or errors.splitlines()[-1:]).split()
    return " ".join("<address>" if "://" in word else word for word in words)


def members(package: Path, ending: str) -> Iterator[tuple[str, bytes]]:
    """Path and content of the plain files of a .deb whose names end so, in the package's order.

    Raises:
        FetchError: no package, or a damaged one.
    """
    command = ["dpkg-deb", "--fsys-tarfile", str(package)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as opened:
        try:
            with tarfile.open(fileobj=opened.stdout, mode="r|") as archive:
                for entry in archive:
                    if entry.isreg() and entry.name.endswith(ending) and entry.size <= MAX_BYTES:
                        stream = archive.extractfile(entry)
                        if stream is not None:
                            yield entry.name.removeprefix("./"), stream.read()
        except tarfile.TarError as error:
            raise FetchError(f"{package.name}: not a Debian package: {error}") from error
