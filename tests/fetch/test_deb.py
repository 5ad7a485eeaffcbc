"""Debian packages from a repository on disk, by the real apt."""

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tasks import paths, records
from tasks.errors import FetchError, HashMismatchError
from tasks.fetch import data, deb, descriptions, help_pages
from tasks.fetch.config import Data, Weights
from tasks.fetch.deb import Apt, members

needs_apt = pytest.mark.skipif(
    not all(map(shutil.which, ("apt-get", "apt-cache", "dpkg-deb"))), reason="no apt here"
)

PAGES = {
    "en-US": '<p id="a" class="x">Choose the <b>best</b> of them.</p><h2 id="b">Fonts</h2>'
    '<p id="c">Left as it always was.</p><p id="d">This one stands twice here.</p>'
    '<p id="d">This one stands twice here.</p><p>Nobody knows what this is.</p>',
    "fr": '<h2 id="b">Polices</h2><p id="a">Choisissez le meilleur\n d\'entre eux.</p>'
    '<p id="c">Left as it always was.</p><p id="d">Celui-ci est là deux fois.</p>',
}
SYNOPSIS = "shows what lies below a folder"
LONG = """\
 This program lists the contents of folders as a tree, with sizes and dates where
 they are asked for, and can leave out what matches a pattern.
 .
 It colours names by their kind, as people are used to from elsewhere."""


def page(language: str) -> bytes:
    return f"<!DOCTYPE html><html><body>{PAGES[language]}</body></html>".encode()


def package(folder: Path, name: str, files: dict[str, bytes], section: str = "doc") -> Path:
    """A .deb whose installation would run a script."""
    root = folder / name
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: 1.0\nArchitecture: all\nMaintainer: T <t@example.org>\n"
        f"Section: {section}\nDescription: {SYNOPSIS}\n"
    )
    script = root / "DEBIAN/postinst"
    script.write_text(f"#!/bin/sh\ntouch {folder}/ran\n")
    script.chmod(0o755)
    target = folder / f"{name}_1.0_all.deb"
    subprocess.run(["dpkg-deb", "--build", root, target], check=True, capture_output=True)
    return target


@pytest.fixture
def repository(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two manuals and two programs; apt knows of nothing else."""
    folder = checkout / "repository"
    folder.mkdir()
    made = [
        package(folder, f"help-{name.lower()}", {f"usr/help/{name}/text/a/b.html": page(name)})
        for name in PAGES
    ]
    made += [package(folder, "tree", {"usr/bin/tree": b"x"}, "utils")]
    made += [package(folder, "libtree", {"usr/lib/tree": b"x"}, "libs")]
    digest = hashlib.md5(f"{SYNOPSIS}\n{LONG}\n".encode(), usedforsecurity=False).hexdigest()
    index = "\n".join(paragraph(file, digest) for file in made)
    arch = subprocess.run(
        ["dpkg", "--print-architecture"], check=True, capture_output=True, text=True
    ).stdout.strip()
    translation = f"Package: tree\nDescription-md5: {digest}\nDescription-en: {SYNOPSIS}\n{LONG}\n"
    listed = {
        f"main/binary-{arch}/Packages": index,
        "main/i18n/Translation-en": translation,
    }
    lines = ["Suite: stable", "Codename: stable", f"Architectures: {arch}", "Components: main"]
    lines += ["Date: Mon, 05 Oct 2026 10:00:00 UTC", "SHA256:"]
    for name, content in listed.items():
        file = folder / "dists/stable" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        lines.append(f" {hashlib.sha256(content.encode()).hexdigest()} {len(content)} {name}")
    (folder / "dists/stable/Release").write_text("\n".join(lines) + "\n")
    sources = checkout / "sources.list"
    sources.write_text(f"deb [trusted=yes] file:{folder} stable main\n")
    settings = checkout / "apt.conf"
    settings.write_text(f'Dir::Etc::sourcelist "{sources}";\nDir::Etc::sourceparts "-";\n')
    monkeypatch.setenv("APT_CONFIG", str(settings))
    return folder


def paragraph(file: Path, digest: str) -> str:
    control = subprocess.run(["dpkg-deb", "-f", file], check=True, capture_output=True, text=True)
    content = file.read_bytes()
    return (
        f"{control.stdout.strip()}\nDescription-md5: {digest}\nFilename: {file.name}\n"
        f"Size: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n"
    )


def fetched(**told: Any) -> list[dict[str, object]]:
    """Rows by the stage; the first attempt is told the hash, as a user is."""
    config = {"sha256": "0" * 64} | told
    with pytest.raises(HashMismatchError) as wrong:
        data.fetch(Data.model_validate(config))
    right = str(wrong.value).partition("got ")[2][:64]
    data.fetch(Data.model_validate(config | {"sha256": right}))
    lines = (paths.RAW / data.RECORDS).read_text().splitlines()
    return [records.json.loads(line) for line in lines]


@needs_apt
def test_two_manuals_become_pairs_of_paragraphs(repository: Path) -> None:
    rows = fetched(source="deb:help-en-us,help-fr=1.0", format="help_pages")
    assert rows == [
        {
            "_row": 1,
            "page": "a/b.html",
            "id": "a",
            "source": "Choose the best of them.",
            "target": "Choisissez le meilleur d'entre eux.",
        }
    ]
    assert not (repository / "ran").exists()


@needs_apt
def test_programs_are_described_and_libraries_are_not(repository: Path) -> None:
    [row] = fetched(source="deb:*", format="descriptions")
    assert (row["package"], row["section"], row["synopsis"]) == ("tree", "utils", SYNOPSIS)
    assert str(row["description"]).startswith("This program lists the contents of folders as a")
    assert " . " not in str(row["description"])


@needs_apt
def test_the_system_stays_as_it_is(repository: Path, tmp_path: Path) -> None:
    looked_at = ("/var/lib/apt/lists", "/var/cache/apt/archives", "/var/lib/dpkg")
    system = [Path(each) for each in looked_at if Path(each).is_dir()]
    assert system
    before = [sorted((p.name, p.stat().st_mtime_ns) for p in each.iterdir()) for each in system]
    hooks = ("Pre-Invoke", "Post-Invoke", "Post-Invoke-Success", "Post-Invoke-Stats")
    with (repository.parent / "apt.conf").open("a") as settings:
        for hook in hooks:
            settings.write(f'APT::Update::{hook} {{"touch {tmp_path}/{hook}";}};\n')
    Apt(tmp_path / "apt", "deb:tree").download("tree")
    after = [sorted((p.name, p.stat().st_mtime_ns) for p in each.iterdir()) for each in system]
    assert after == before
    assert [hook for hook in hooks if (tmp_path / hook).exists()] == []


@needs_apt
def test_a_package_that_is_not_there_is_named_with_the_remedy(
    repository: Path, tmp_path: Path
) -> None:
    apt = Apt(tmp_path / "apt", "deb:nothing")
    with pytest.raises(FetchError, match=r"download nothing failed: .*Unable to locate.*version"):
        apt.download("nothing")
    with pytest.raises(FetchError, match="tree=9"):
        apt.download("tree=9")


@needs_apt
def test_lists_that_cannot_be_had_end_it_and_tell_no_address(
    repository: Path, tmp_path: Path
) -> None:
    address = "http://user:secret@127.0.0.1:9/debian"
    (tmp_path / "sources.list").write_text(f"deb [trusted=yes] {address} stable main\n")
    with pytest.raises(FetchError, match="update failed") as error:
        Apt(tmp_path / "apt", "deb:tree")
    assert "secret" not in str(error.value)


def test_without_apt_the_remedy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FetchError, match=r"deb:tree: apt-get is not found; .*path:records.jsonl"):
        Apt(tmp_path / "apt", "deb:tree")


@needs_apt
def test_links_of_a_package_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd/link.html").symlink_to("/etc/passwd")
    made = package(tmp_path, "odd", {"usr/a.html": b"plain"})
    before = sorted(tmp_path.rglob("*"))
    assert dict(members(made, ".html")) == {"usr/a.html": b"plain"}
    assert sorted(tmp_path.rglob("*")) == before


@needs_apt
def test_what_is_no_package_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.deb"
    file.write_bytes(b"no package")
    with pytest.raises(FetchError, match=r"a\.deb: not a Debian package"):
        list(members(file, ".html"))


def test_large_members_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("dpkg-deb") is None:
        pytest.skip("no dpkg-deb here")
    monkeypatch.setattr(deb, "MAX_BYTES", 10)
    made = package(tmp_path, "big", {"a.html": b"x" * 11, "b.html": b"x" * 10})
    assert [name for name, _ in members(made, ".html")] == ["b.html"]


@needs_apt
def test_packages_without_pages_are_refused(tmp_path: Path) -> None:
    made = package(tmp_path, "none", {"usr/a.html": b"x"})
    with pytest.raises(FetchError, match="holds no pages"):
        list(help_pages.rows(made, made))


def test_paragraphs_of_a_control_file_are_told_apart() -> None:
    text = "A: 1\nB: x\n y\n .\n\n\nA: 2\n"
    assert list(descriptions.paragraphs(text)) == [{"A": "1", "B": "x\n y\n ."}, {"A": "2"}]


@pytest.mark.parametrize(
    ("told", "complaint"),
    [
        ({"source": "deb:aa", "format": "help_pages"}, "of two packages"),
        ({"source": "deb:aa,bb", "format": "descriptions"}, "of two packages"),
        ({"source": "deb:aa,bb", "format": "csv"}, "of two packages"),
        ({"source": "path:a", "format": "help_pages"}, "is for deb:"),
        ({"source": "deb:a;b", "format": "help_pages"}, "needs names of packages"),
        ({"source": "deb:-o=x,b", "format": "help_pages"}, "needs names of packages"),
    ],
)
def test_sources_and_formats_that_do_not_fit_are_refused(
    told: dict[str, str], complaint: str
) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Data.model_validate({"sha256": "0" * 64} | told)


def test_weights_are_not_taken_from_debian() -> None:
    with pytest.raises(ValidationError, match="path:<file or folder>"):
        Weights.model_validate({"source": "deb:aa", "sha256": "0" * 64})
