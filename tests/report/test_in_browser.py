"""The pages as a real browser shows them, on screen, on a telephone and on paper."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Page, expect

from benchmarks.browser import Seen, watch
from tasks.report.__main__ import main
from tasks.report.compare import compare, html
from tests.report.made_up import LONG_REQUEST, write_run
from tests.report.test_compare import release

SECTIONS = (
    "why",
    "frontier",
    "slices",
    "latency",
    "examples",
    "considered",
    "lineage",
    "curves",
    "parity",
    "data",
    "stages",
    "reproduce",
)
PLOTS = 5


class Shown(NamedTuple):
    page: Page
    seen: Seen


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("release")
    write_run(root, everything=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        main([])
    return (root / "reports/release.html").as_uri()


@pytest.fixture
def shown(browser: Browser, address: str) -> Iterator[Shown]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    seen = watch(page)
    page.goto(address)
    yield Shown(page, seen)
    page.close()


def test_every_section_is_there_and_every_link_leads_to_one(shown: Shown) -> None:
    for name in SECTIONS:
        expect(shown.page.locator(f"h2#{name}")).to_be_visible()
    links = shown.page.locator("nav a")
    assert links.count() == len(SECTIONS)
    for number in range(links.count()):
        target = links.nth(number).get_attribute("href") or ""
        assert shown.page.locator(target).count() == 1, target


def test_every_plot_is_drawn_and_has_words_for_those_who_do_not_see_it(shown: Shown) -> None:
    images = shown.page.locator("img")
    assert images.count() == PLOTS
    for number in range(PLOTS):
        image = images.nth(number)
        assert image.evaluate("each => each.complete && each.naturalWidth") > 500
        assert len(image.get_attribute("alt") or "") > 40


def test_nothing_is_asked_of_a_network_and_no_error_is_logged(shown: Shown) -> None:
    shown.page.wait_for_load_state("networkidle")
    outside = [url for url in shown.seen.requests if not url.startswith(("file:", "data:"))]
    assert outside == []
    assert shown.page.url in shown.seen.requests
    assert shown.seen.errors == []
    assert shown.seen.failed == []


def test_twenty_examples_are_shown_and_a_long_request_unfolds(shown: Shown) -> None:
    rows = shown.page.locator("table.examples tbody tr:not(:has(th))")
    assert rows.count() == 20
    folded = shown.page.locator("table.examples details").first
    assert LONG_REQUEST not in folded.inner_text()
    folded.locator("summary").click()
    assert LONG_REQUEST in folded.inner_text()


@pytest.mark.parametrize("width", [390, 800, 1280, 1920])
def test_the_page_never_scrolls_sideways(shown: Shown, width: int) -> None:
    shown.page.set_viewport_size({"width": width, "height": 900})
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= width


def test_on_paper_the_navigation_is_gone_and_all_pages_are_set(shown: Shown) -> None:
    expect(shown.page.locator("nav")).to_be_visible()
    shown.page.emulate_media(media="print")
    expect(shown.page.locator("nav")).to_be_hidden()
    expect(shown.page.locator("h2#examples")).to_be_visible()
    pages = re.findall(rb"/Type\s*/Page\b", shown.page.pdf(format="A4"))
    assert 5 <= len(pages) <= 30


def test_words_are_dark_enough_to_read(shown: Shown) -> None:
    """WCAG's contrast of 4.5 for everything muted."""
    for selector in (".note", "figcaption", "caption", "nav a", "header .kind", ".examples .no"):
        contrast = shown.page.locator(selector).first.evaluate(CONTRAST)
        assert contrast >= 4.5, selector


def test_the_comparison_of_two_releases_is_shown_without_errors(
    browser: Browser, tmp_path: Path
) -> None:
    found = compare(release(tmp_path, "one"), release(tmp_path, "two", "fail"))
    (tmp_path / "compare.html").write_text(html(found), encoding="utf-8")
    page = browser.new_page(viewport={"width": 390, "height": 900})
    seen = watch(page)
    page.goto((tmp_path / "compare.html").as_uri())
    expect(page.get_by_role("heading", name="one: Pass")).to_be_visible()
    expect(page.get_by_role("heading", name="two: Keep the teacher")).to_be_visible()
    assert page.locator("section:has(h2#figures) tbody tr").count() == len(found.figures)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert (seen.errors, seen.failed) == ([], [])
    page.close()


CONTRAST = """element => {
  const channels = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  let behind = element;
  const ground = node => channels(getComputedStyle(node).backgroundColor);
  while (behind.parentElement && ground(behind)[3] === 0) behind = behind.parentElement;
  const alpha = Number(getComputedStyle(element).opacity);
  const back = ground(behind)[3] === 0 ? [255, 255, 255] : ground(behind);
  const front = channels(getComputedStyle(element).color)
    .map((c, i) => alpha * c + (1 - alpha) * back[i]);
  const [one, two] = [light(front), light(back)].sort((a, b) => b - a);
  return (one + 0.05) / (two + 0.05);
}"""
