import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows import install
from tests.flows.conftest import ROOT


def test_another_python_is_answered_with_the_remedy() -> None:
    with pytest.raises(install.InstallError, match=r"3.11 is needed and this is 3.13; .*PYTHON="):
        install.check_python((3, 13))
    install.check_python((3, 11))


def test_a_short_disk_is_answered_with_the_remedy() -> None:
    with pytest.raises(install.InstallError, match=r"12 GB .* has 1.0; free some"):
        install.check_disk(10**9)
    install.check_disk(10**11)


def test_the_stamp_changes_with_the_pins(tmp_path: Path) -> None:
    pins = tmp_path / "constraints.txt"
    pins.write_text("torch==2.13.0")
    before = install.fingerprint([pins])
    assert install.fingerprint([pins]) == before
    pins.write_text("torch==2.14.0")
    assert install.fingerprint([pins]) != before


def test_an_index_that_cannot_be_reached_is_answered_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\nversion = "0"\ndependencies = ["no-such-package-here"]\n'
        "[project.optional-dependencies]\n"
        + "".join(f"{g} = []\n" for g in install.GROUPS.split(","))
    )
    (tmp_path / "constraints.txt").write_text("")
    keep = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "flows" / "install.py")],
        cwd=tmp_path,
        env={**keep, **nowhere, "PIP_CONFIG_FILE": "/dev/null"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "error: no package index can be reached" in done.stderr
    assert not (tmp_path / ".venv" / "installed.sha256").exists()
