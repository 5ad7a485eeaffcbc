"""The page holds the figures of the reports, is well formed and needs no network."""

import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tasks.errors import StillhouseError
from tasks.report.__main__ import main
from tests.report.made_up import NAMES, evaluation, write_run

VOID = {"meta", "img", "br", "hr", "link", "input"}
PNG = b"\x89PNG\r\n\x1a\n"


class Page(HTMLParser):
    """Checks that elements nest, and collects text, images and every address."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.text = list[str](), list[str]()
        self.addresses, self.alts = list[str](), list[str | None]()
        self.captions = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.addresses += [values[key] or "" for key in ("src", "href") if key in values]
        if tag == "img":
            self.alts.append(values.get("alt"))
        if tag == "caption":
            self.captions += 1
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open.pop() != tag:
            raise ValueError(f"</{tag}> closes another element")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def render(root: Path) -> tuple[str, Page]:
    main([])
    source = (root / "reports/release.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(source)
    page.close()
    return source, page


def test_page_is_well_formed_and_needs_no_network(run: Path) -> None:
    write_run(run)
    source, page = render(run)
    assert page.open == []
    assert page.addresses
    assert all(a.startswith("data:image/png;base64,") for a in page.addresses)
    assert not re.search(r"url\(|@import|<script", source)
    assert all(page.alts)
    assert len(page.alts) == 3
    assert page.captions == source.count("<table")


def test_page_holds_the_figures_of_the_reports(run: Path) -> None:
    write_run(run)
    words = " ".join(" ".join(render(run)[1].text).split())
    for name in NAMES:
        report = evaluation(name)
        assert name in words
        assert f"{100 * report['quality']['value']:.1f}%" in words  # type: ignore[index]
        assert str(report["model_hash"]) in words
    for expected in (
        "Pass",
        "USD 0.00118",
        "8.6x",
        "2.9x",
        "\N{MINUS SIGN}2.6 to +0.4",
        "at concurrency 16",
        "7e" * 32,
        "d4" * 32,
        "answers agree 0.9917",
        "6,812",
        "distill/small prune/depth12",
        "chosen: the cheapest that is expected to pass",
    ):
        assert expected in words


def test_text_from_files_is_escaped(run: Path) -> None:
    write_run(run)
    source, _ = render(run)
    assert "less than the margin &lt;of 3.0&gt;" in source
    assert "Xeon &lt;8481C&gt; &amp; co" in source
    assert "Is &lt;this&gt; review positive &amp; good?" in source


@pytest.mark.parametrize(
    ("verdict", "headline"),
    [("fail", "Keep the teacher"), ("inconclusive", "About 2,450 locked test items")],
)
def test_other_verdicts_are_told(run: Path, verdict: str, headline: str) -> None:
    write_run(run, verdict)
    _, page = render(run)
    assert page.open == []
    assert headline in " ".join(page.text)


def test_what_is_missing_is_said(run: Path) -> None:
    write_run(run)
    for folder in ("data/gate", "data/prepared", "models"):
        os.rename(run / folder, run / folder.replace("/", "-").join(("gone-", "")))
    _, page = render(run)
    words = " ".join(page.text)
    assert page.open == []
    assert "No verdict yet" in words
    for what in ("the gate's report", "learning curves", "candidate.json", "data/prepared/report"):
        assert f"Missing: {what}" in words


def test_reports_are_copied_to_where_git_keeps_them(run: Path) -> None:
    write_run(run)
    main([])
    for copy, original in (
        ("reports/gate.json", "data/gate/report.json"),
        ("reports/prepare.json", "data/prepared/report.json"),
        ("reports/evaluate/tfidf.json", "data/evaluate/tfidf/report.json"),
        ("reports/quantize/small-int8.json", "models/quantize/small-int8/report.json"),
    ):
        assert json.loads((run / copy).read_text()) == json.loads((run / original).read_text())
    assert (run / "reports/frontier.png").read_bytes().startswith(PNG)


def test_the_same_reports_give_the_same_bytes(run: Path) -> None:
    write_run(run)
    first, _ = render(run)
    plot = (run / "reports/frontier.png").read_bytes()
    assert render(run)[0] == first
    assert (run / "reports/frontier.png").read_bytes() == plot


def test_nothing_evaluated_is_a_clear_error(run: Path) -> None:
    with pytest.raises(StillhouseError, match="nothing was evaluated"):
        main([])


def test_a_broken_report_is_named(run: Path) -> None:
    write_run(run)
    (run / "models/prune/depth12/report.json").write_text("{")
    with pytest.raises(StillhouseError, match=r"models/prune/depth12/report\.json: not JSON"):
        main([])
