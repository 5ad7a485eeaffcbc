"""Versions, the one in use, and the way back."""

from pathlib import Path

import pytest

from flows.registry import Registry, RegistryError
from tests.flows.conftest import git


def require(tag: str) -> None:
    """Every package is there but one."""
    if tag == "toy:lost":
        raise RegistryError("the package of toy:lost is gone")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    git(tmp_path, "config", "user.name", "Tester")
    git(tmp_path, "config", "user.email", "tester@localhost")
    for message in ("first", "second"):
        git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", message)
    return tmp_path


@pytest.fixture
def toy(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("STILLHOUSE_STATE", str(checkout / ".stillhouse"))
    return Registry(checkout, "toy")


def released(toy: Registry, checkout: Path) -> tuple[str, str]:
    return (
        toy.register(git(checkout, "rev-parse", "HEAD~1"), "toy:one", "passed"),
        toy.register(git(checkout, "rev-parse", "HEAD"), "toy:two", "passed again"),
    )


def test_a_bento_is_one_version_however_often_it_is_registered(
    toy: Registry, checkout: Path
) -> None:
    assert toy.history() == []
    assert released(toy, checkout) == released(toy, checkout) == ("v0.0.1", "v0.0.2")
    commits = git(checkout, "log", "--reverse", "--format=%H").split()
    told = [(event.version, event.bento, event.commit) for event in toy.history()]
    assert told == [("v0.0.1", "toy:one", commits[0]), ("v0.0.2", "toy:two", commits[1])]
    assert Registry(checkout, "other").history() == []


def test_promote_rollback_and_promote_again_leave_a_trail(toy: Registry, checkout: Path) -> None:
    first, second = released(toy, checkout)
    assert toy.champion_bento() is None
    assert toy.promote(first, "the first that passed", require) == first
    assert toy.promote(None, "the newest is cheaper", require) == second
    assert toy.champion_bento() == "toy:two"
    assert toy.rollback("complaints", require) == first
    assert toy.champion_bento() == "toy:one"
    assert toy.promote(second, "mended", require) == second
    assert (toy.current("champion"), toy.current("previous")) == (second, first)
    trail = toy.history()
    assert [(e.version, e.reason) for e in trail if e.stage == "champion"] == [
        (first, "the first that passed"),
        (second, "the newest is cheaper"),
        (first, "complaints"),
        (second, "mended"),
    ]
    assert {event.author for event in trail} == {"Tester"}


def test_promoting_what_is_in_use_changes_nothing(toy: Registry, checkout: Path) -> None:
    first, _ = released(toy, checkout)
    toy.promote(first, "the first that passed", require)
    before = toy.history()
    assert toy.promote(first, "again", require) == first
    assert toy.history() == before


def test_an_unknown_version_is_refused_with_those_there_are(toy: Registry, checkout: Path) -> None:
    with pytest.raises(RegistryError, match="none: no release has passed yet"):
        toy.promote(None, "why not", require)
    released(toy, checkout)
    with pytest.raises(RegistryError, match=r"no version v9.*v0.0.1, v0.0.2"):
        toy.promote("v9", "why not", require)


def test_without_a_version_before_there_is_no_way_back(toy: Registry, checkout: Path) -> None:
    first, _ = released(toy, checkout)
    toy.promote(first, "the first that passed", require)
    with pytest.raises(RegistryError, match="nothing was in use before"):
        toy.rollback("regret", require)


def test_tags_are_made_where_git_knows_nobody(
    toy: Registry, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(checkout, "config", "--unset", "user.email")
    git(checkout, "config", "--unset", "user.name")
    monkeypatch.setenv("HOME", str(checkout))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    released(toy, checkout)
    assert {event.author for event in toy.history()} == {"Stillhouse"}


def test_a_version_whose_package_is_gone_is_not_put_into_use(toy: Registry, checkout: Path) -> None:
    first, _ = released(toy, checkout)
    toy.promote(first, "the first that passed", require)
    git(checkout, "commit", "--quiet", "--allow-empty", "--message", "third")
    lost = toy.register("HEAD", "toy:lost", "passed, then lost")
    with pytest.raises(RegistryError, match="toy:lost is gone"):
        toy.promote(lost, "why not", require)
    assert toy.champion_bento() == "toy:one"
