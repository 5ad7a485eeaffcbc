"""A real browser for tests of what people look at, and how properties are tested."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, settings
from playwright.sync_api import Browser

from benchmarks import browser as chromium

INSTALL = "STILLHOUSE_INSTALL_CHROMIUM"

# How long an example takes, or is looked for, is the machine's affair, not a property of ours.
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# The same commit gets the same verdict; `pytest --hypothesis-profile explore` draws anew.
settings.register_profile("repeat", settings.get_profile("explore"), derandomize=True)
settings.load_profile("repeat")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; CI installs it, elsewhere its tests are skipped where there is none.

    One a module: while Playwright is open, no other test could run an event loop of its own.
    """
    if chromium.find() is None and os.environ.get(INSTALL):
        install()
    program = chromium.find()
    if program is None:
        pytest.skip(
            f"no Chromium: install the package chromium, or name one in {chromium.VARIABLE}, or "
            f"set {INSTALL}=1 as root where there is apt-get"
        )
    with chromium.opened(program) as opened:
        yield opened


def install() -> None:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # Without a package index the tests are skipped, as they are without root.
    with suppress(subprocess.TimeoutExpired):
        for command in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
            subprocess.run(["apt-get", *command], env=environment, check=False, timeout=120)
