"""Pictures of what people look at, for README: report, form and artifacts, by a real browser.

    make demo && .venv/bin/python -m benchmarks.screenshots

writes docs/screenshots/*.png of the newest finished run and of the Prefect UI that shows it, which
must be running (`make ui`). Every picture is reduced to 256 colours to stay small.
"""

import json
import urllib.request
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from PIL import Image  # comes with matplotlib
from playwright.sync_api import Browser, Page, ViewportSize

from benchmarks.browser import VARIABLE, find, opened, watch
from benchmarks.release import newest_run
from flows import settings
from tasks import candidates_table, paths, stage
from tasks.errors import StillhouseError

FOLDER: Final = Path("docs/screenshots")
VIEW: Final = ViewportSize(width=1280, height=900)
COLOURS: Final = 256
MOST_BYTES: Final = 300_000
SECTIONS: Final = {
    "examples": "report-examples",
    "lineage": "report-lineage",
    "data": "report-data",
}
SETTLED_MS: Final = 1500
"""After the last request, until what fades in has done so."""


def main(arguments: list[str]) -> None:
    """Take all pictures; takes no arguments."""
    if arguments:
        raise StillhouseError("usage: python -m benchmarks.screenshots (it takes no arguments)")
    program = find()
    if program is None:
        raise StillhouseError(f"no Chromium: install it, or name one in {VARIABLE}")
    root = newest_run()
    addresses = prefect_pages(root)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with opened(program) as browser:
        report(browser, root)
        for name, address in addresses.items():
            page = _open(browser, address)
            page.wait_for_timeout(SETTLED_MS)
            _keep(name, page.screenshot())
            page.close()
    print(f"wrote {len(list(FOLDER.glob('*.png')))} pictures to {FOLDER}")


def report(browser: Browser, root: Path) -> None:
    """The top of the release report, and the sections worth a picture."""
    page = _open(browser, (root / paths.RELEASE_HTML).absolute().as_uri())
    _keep("report", page.screenshot())
    for section, name in SECTIONS.items():
        page.evaluate("id => document.getElementById(id).scrollIntoView()", section)
        page.wait_for_timeout(SETTLED_MS)
        _keep(name, page.screenshot())
    page.close()


def prefect_pages(root: Path) -> Mapping[str, str]:
    """Addresses of the form and of the newest run's artifacts in the Prefect UI, by picture.

    Raises:
        StillhouseError: the server does not run, or does not know the run.
    """
    ui, gate = settings.ui_url(), candidates_table.load(root).gate
    if gate is None:
        raise StillhouseError(f"{root}: the gate has written no report")
    form = _ask("deployments/name/release/release")["id"]
    pages = {"form": f"{ui}/deployments/deployment/{form}/run"}
    for name, key in (("artifact", "release"), ("model-card", "model-card")):
        wanted = {"artifacts": {"key": {"any_": [f"{key}-{gate.workload}"]}}}
        found = _ask("artifacts/filter", {**wanted, "sort": "CREATED_DESC", "limit": 1})
        if not found:
            raise StillhouseError(f"{ui}: no artifact {key}-{gate.workload}; end a release first")
        pages[name] = f"{ui}/artifacts/artifact/{found[0]['id']}"
    return pages


def _ask(path: str, body: Mapping[str, object] | None = None) -> Any:
    address = f"{settings.ui_url()}/api/{path}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310
        address, data=data, headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)
    except OSError as error:
        raise StillhouseError(
            f"{address}: {error}; start the server with `make ui`, and end a release there first"
        ) from error


def _open(browser: Browser, address: str) -> Page:
    page = browser.new_page(viewport=VIEW)
    seen = watch(page)
    page.goto(address)
    page.wait_for_load_state("networkidle")
    if seen.failed:
        raise StillhouseError(f"{address}: not loaded: {', '.join(seen.failed)}")
    return page


def _keep(name: str, png: bytes) -> None:
    file = FOLDER / f"{name}.png"
    Image.open(BytesIO(png)).convert("RGB").quantize(COLOURS).save(file, optimize=True)
    if file.stat().st_size > MOST_BYTES:
        raise StillhouseError(f"{file}: {file.stat().st_size:,} bytes, more than {MOST_BYTES:,}")


if __name__ == "__main__":
    raise SystemExit(stage.run(main))
