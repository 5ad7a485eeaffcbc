"""The Prefect UI as people see it: the form that starts a release, and what a release leaves."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from benchmarks.browser import Seen, watch
from flows.release import release
from tests.flows.conftest import Running

pytestmark = pytest.mark.timeout(400)

TOLERATED = ("/favicon.ico", "/ico/undefined.svg")
"""What Prefect's own pages ask of Prefect's own server, which has neither: the icon of the tab, and
on a run's page the icon of a state that is not known yet."""


@pytest.fixture(scope="module")
def run(running: Running) -> str:
    """A finished release."""
    made = running.start()
    assert running.ended(made)["type"] == "COMPLETED"
    return made


@pytest.fixture
def page(browser: Browser, running: Running) -> Iterator[Page]:
    """A page of which, at the end, no error was logged and that asked nothing of anybody else."""
    made = browser.new_page(viewport={"width": 1280, "height": 1000})
    seen = watch(made)
    yield made
    made.close()
    ours = running.api.removesuffix("/api")
    outside = [url for url in seen.requests if not url.startswith((ours, f"blob:{ours}", "data:"))]
    assert outside == []
    assert unexpected(seen, ours) == []


def unexpected(seen: Seen, ours: str) -> list[str]:
    tolerated = tuple(f"{ours}{path}" for path in TOLERATED)
    return [error for error in seen.errors if not error.startswith(tolerated)]


def artifact(running: Running, run: str, key: str) -> str:
    """Address of one artifact of a run."""
    [found] = [made for made in running.artifacts(run) if made["key"] == key]
    return f"{running.api.removesuffix('/api')}/artifacts/artifact/{found['id']}"


def test_the_form_shows_every_field_with_title_help_and_default(
    page: Page, running: Running
) -> None:
    found = httpx.get(f"{running.api}/deployments/name/release/release").json()
    page.goto(f"{running.api.removesuffix('/api')}/deployments/deployment/{found['id']}/run")
    for field in release.parameters.model_dump()["properties"].values():
        expect(page.get_by_text(field["title"], exact=False).first).to_be_visible()
        help_ = field["description"].replace("`", "").split(".")[0]
        expect(page.get_by_text(help_).first).to_be_visible()
    expect(page.locator("textarea").first).to_have_value("sentiment")
    expect(page.get_by_text("quick", exact=True).last).to_be_visible()
    expect(page.get_by_role("button", name="Submit")).to_be_enabled()


def test_the_artifact_shows_verdict_reason_table_and_plot(
    page: Page, running: Running, run: str
) -> None:
    page.goto(artifact(running, run, "release-toy"))
    expect(page.get_by_role("heading", name="pass: small is no worse than teacher")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="small is no worse")).to_be_visible()
    table = page.get_by_role("table").first
    expect(table.get_by_role("row")).to_have_count(3)
    expect(table).to_contain_text("(0.850-0.940)")
    plot = page.get_by_alt_text("cost against quality")
    expect(plot).to_be_attached()
    assert plot.evaluate("each => each.complete && each.naturalWidth") >= 1
    expect(page.get_by_text("reports/release.html")).to_be_visible()
    expect(page.get_by_text("are timings: they vary")).to_be_visible()


def test_the_model_card_and_the_table_are_artifacts_of_their_own(
    page: Page, running: Running, run: str
) -> None:
    page.goto(artifact(running, run, "model-card-toy"))
    expect(page.get_by_role("heading", name="toy: small")).to_be_visible()
    expect(page.get_by_text("license: mit")).to_have_count(0)
    page.goto(artifact(running, run, "candidates-toy"))
    expect(page.get_by_role("table").first).to_contain_text("per 1,000 requests")


def test_the_run_page_shows_the_verdict_in_its_log(page: Page, running: Running, run: str) -> None:
    page.goto(f"{running.api.removesuffix('/api')}/runs/flow-run/{run}")
    expect(page.get_by_text("toy-smoke-1").first).to_be_visible()
    expect(page.get_by_text("Completed").first).to_be_visible()
    expect(page.get_by_text("verdict pass: small is no worse").first).to_be_visible()
