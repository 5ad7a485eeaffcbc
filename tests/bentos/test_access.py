"""Keys: who is known, who is not any more, and what a file of them holds."""

import hmac
import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos.web import access
from bentos.web.access import Access


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def bearer(key: str) -> str:
    return f"Bearer {key}"


def test_a_key_is_known_by_its_hash_alone(file: Path) -> None:
    key = access.add(file, "team-a", ["generate"])

    known = Access(file).holder(bearer(key))

    assert known is not None
    assert (known[0], known[1].scopes) == ("team-a", ("generate",))
    assert key not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer ", "Basic abc", "Bearer sk-wrong", "é"])
def test_what_is_no_key_is_not_known(file: Path, given: str) -> None:
    access.add(file, "team-a", ["generate"])

    assert Access(file).holder(given) is None


@given(other=st.text(max_size=60))
def test_no_other_text_opens(other: str) -> None:
    held = access.Holder(sha256=access.sha256("sk-right"), scopes=("generate",))
    door = Access(None)
    door._keys = {"team-a": held}

    assert (door.holder(bearer(other)) is not None) == (other.strip() == "sk-right")


def test_keys_come_and_go_without_a_restart(file: Path) -> None:
    old = access.add(file, "team-a", ["generate"])
    door = Access(file)
    new = access.add(file, "team-a", ["generate"])

    assert door.holder(bearer(old)) is None
    assert door.holder(bearer(new)) is not None
    access.revoke(file, "team-a")
    assert door.holder(bearer(new)) is None


def test_a_file_that_breaks_later_opens_nothing_and_is_named_at_start(file: Path) -> None:
    key = access.add(file, "team-a", ["generate"])
    door = Access(file)
    file.write_text('{"team-a": {"sha256": "sk-oops", "scopes": ["generate"]}}')

    assert door.holder(bearer(key)) is None
    with pytest.raises(ValueError, match=r"team-a\.sha256") as refused:
        Access(file)
    assert "sk-oops" not in str(refused.value)
    file.unlink()
    assert door.holder(bearer(key)) is None


def test_all_keys_are_compared_in_constant_time_also_after_the_right_one(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [access.add(file, f"team-{n}", ["generate"]) for n in range(3)]
    kept = [access.sha256(key) for key in keys]
    door = Access(file)
    compare, compared = hmac.compare_digest, list[tuple[str, str]]()

    def spy(one: str, other: str) -> bool:
        compared.append((one, other))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    for key in (keys[0], keys[2], keys[0][:-1] + "!"):
        compared.clear()
        assert (door.holder(bearer(key)) is not None) == (key in keys)
        assert compared == [(access.sha256(key), each) for each in kept]

    # Nothing else decides.
    monkeypatch.setattr(hmac, "compare_digest", lambda one, other: False)
    assert [door.holder(bearer(key)) for key in keys] == [None] * 3


def test_the_command_adds_and_revokes(file: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "bentos.web.access", str(file), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    added = run("add", "team-a", "--scope", "generate", "--scope", "premium")
    assert Access(file).holder(bearer(added.stdout.strip())) is not None
    assert json.loads(file.read_text())["team-a"]["scopes"] == ["generate", "premium"]
    assert run("revoke", "team-b").returncode == 2
    assert run("revoke", "team-a").returncode == 0
    assert json.loads(file.read_text()) == {}


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("/run/socket", True),
        ("10.0.0.4", False),
        ("0.0.0.0", False),  # noqa: S104 - an address to judge, not to bind
        ("testserver", False),
        ("", False),
    ],
)
def test_loopback_is_told_from_other_addresses(host: str, own: bool) -> None:
    assert access.is_loopback(host) is own
