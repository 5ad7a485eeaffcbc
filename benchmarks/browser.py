"""A headless Chromium of this machine, for tests and screenshots; nothing is downloaded.

with opened(find()) as browser:
    page = browser.new_page()
    seen = watch(page)
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

VARIABLE = "STILLHOUSE_CHROMIUM"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    # A container's root has no user namespaces; the pages are our own.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Seen(NamedTuple):
    """What a page did while it was watched.

    Attributes:
        errors: console errors with the address that each is about, and uncaught exceptions.
        requests: every address that was asked for.
        failed: those that gave no answer or an answer of 400 and above.
    """

    errors: list[str]
    requests: list[str]
    failed: list[str]


def find() -> str | None:
    """Path of a Chromium, from STILLHOUSE_CHROMIUM or the PATH; None where there is none."""
    named = os.environ.get(VARIABLE)
    return named or next((found for name in PROGRAMS if (found := shutil.which(name))), None)


@contextmanager
def opened(program: str) -> Iterator[Browser]:
    """The browser, with a fresh profile that is thrown away."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


def watch(page: Page) -> Seen:
    """Note what `page` does from now on."""
    seen = Seen([], [], [])
    page.on("console", lambda said: seen.errors.extend(_error(said)))
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("request", lambda request: seen.requests.append(request.url))
    page.on("requestfailed", lambda request: seen.failed.append(request.url))
    page.on(
        "response",
        lambda answer: seen.failed.append(answer.url) if answer.status >= 400 else None,
    )
    return seen


def _error(said: ConsoleMessage) -> list[str]:
    return [f"{said.location['url']}: {said.text}"] if said.type == "error" else []
