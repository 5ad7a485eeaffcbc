"""The page holds the figures of the reports, is well formed and needs no network."""

import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tasks.errors import StillhouseError
from tasks.report.__main__ import main
from tasks.report.facts import gather
from tests.report.made_up import LOCKED_WORDS, NAMES, evaluation, write_run

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
    outside = [a for a in page.addresses if not a.startswith(("data:image/png;base64,", "#"))]
    assert outside == []
    assert not re.search(r"url\(|@import|<script", source)
    assert all(page.alts)
    assert len(page.alts) == 4
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
        "0.9917",
        "pypi:reviews==2.0!reviews.csv",
        "addresses masked 3",
        "6,812",
        "distill/small prune/depth12",
        "chosen: the cheapest that is expected to pass",
    ):
        assert expected in words


def test_figures_that_vary_are_marked_as_timings(run: Path) -> None:
    write_run(run, everything=True)
    source, _ = render(run)
    marked = set(re.findall(r'<th scope="col" class="timing">([^<]+)</th>', source))
    assert {"USD per 1,000", "USD per million tokens", "Requests/s", "p50, ms", "p95, ms"} < marked
    assert {"Accuracy", "Size, MB"} & marked == set()


def test_what_only_some_runs_measure_is_shown_where_it_is_there(run: Path) -> None:
    write_run(run, everything=True)
    source, page = render(run)
    words = " ".join(" ".join(page.text).split())
    for expected in (
        "length: long <words> 240 87.1% 83.2% \N{MINUS SIGN}3.9",
        "length: short 210 94.0%",
        "macro f1",
        "0.876",
        "macro f1 89.1% 88.5% \N{MINUS SIGN}0.7 \N{MINUS SIGN}2.1 \N{MINUS SIGN}5.0 pass",
        "The judge large compared both on 100 validation items",
        "it agreed with them in 90.0% of its choices",
        "0.9312 (0.915 to 0.944)",
        "It has paid for itself after about 2,600 requests",
        "0.42",
        "900 847 yes",
        "It is better than the teacher, too",
        "break even requests 2,600",
        "0.0371",
    ):
        assert expected in words, expected
    assert "Not measured" not in words
    assert source.count('class="strip') == 2 + 2 * 2
    assert (run / "reports/plots/latency.png").read_bytes().startswith(PNG)


def test_what_a_run_did_not_measure_is_said_and_an_old_plot_goes(run: Path) -> None:
    write_run(run, everything=True)
    render(run)
    write_run(run)
    words = " ".join(" ".join(render(run)[1].text).split())
    assert "Not measured in this run: quality by slice" in words
    assert "Not measured in this run: latency at several loads" in words
    plots = sorted(file.name for file in (run / "reports/plots").iterdir())
    assert plots == ["curves.png", "difference.png", "lineage.png"]


def test_a_section_in_another_shape_is_named(run: Path) -> None:
    write_run(run)
    file = run / "data/evaluate/small-int8/report.json"
    file.write_text(json.dumps({**evaluation("small-int8"), "slices": [{"field": "length"}]}))
    with pytest.raises(StillhouseError, match=r"small-int8/report\.json.*(\n.*)*slices\.0\.value"):
        main([])


def test_no_item_of_the_locked_test_is_shown(run: Path) -> None:
    write_run(run)
    source, _ = render(run)
    assert LOCKED_WORDS not in source
    assert "Request number 1." in source


def test_text_from_files_is_escaped(run: Path) -> None:
    write_run(run)
    source, _ = render(run)
    assert "less than the margin &lt;of 3.0&gt;" in source
    assert "Xeon &lt;8481C&gt; &amp; co" in source
    assert "Is &lt;this&gt; review positive &amp; good?" in source
    assert "A film &lt;b&gt;of&lt;/b&gt; ideas &amp; wry comic mayhem." in source


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


def test_the_load_that_was_priced_is_a_point_of_the_load_curve(run: Path) -> None:
    write_run(run, everything=True)
    loads = gather(run).loads["small-int8"]
    assert [point.concurrency for point in loads] == [1, 4, 16, 32]
    assert loads[2].latency_ms.p95 == 847.0
