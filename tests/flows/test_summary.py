import json
from pathlib import Path

from flows import summary
from flows.looks import Looks
from tasks import candidates_table
from tests.flows.toy.tasks import step


def finished(root: Path) -> Path:
    for name in ("teacher", "small"):
        file = root / "reports" / "evaluate" / f"{name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(step.evaluation(name)))
    (root / "reports" / "gate.json").write_text(json.dumps(step.gate()))
    (root / "reports" / "package.json").write_text(json.dumps({"tag": "toy:abc"}))
    (root / "reports" / "frontier.png").write_bytes(step.PNG)
    (root / "reports" / "release.html").write_text("<h1>Release</h1>")
    return root


def test_a_summary_holds_verdict_table_reasons_plot_and_report(tmp_path: Path) -> None:
    root = finished(tmp_path)
    text = summary.markdown(root, candidates_table.load(root), Looks(2, 5))
    assert "## pass: small is no worse than teacher by more than 0.03, at 20% of its cost" in text
    assert "- small is no worse than teacher" in text
    assert "data:image/png;base64,iVBOR" in text
    assert (root / "reports/release.html").as_uri() in text
    assert "toy:abc" in text
    assert "looked at 2 times; 5 are allowed." in text
    assert "| **small**<br>**candidate** | **0.900<br>(0.850-0.940)** |" in text


def test_the_model_card_is_shown_without_what_is_for_machines(tmp_path: Path) -> None:
    root = finished(tmp_path)
    assert summary.model_card(root) is None
    (root / "reports/model-card.md").write_text("---\nlicense: mit\n---\n\n# Card\n\n---\n\nend\n")
    assert summary.model_card(root) == "# Card\n\n---\n\nend\n"
    text = summary.markdown(root, candidates_table.load(root), Looks(2, 5))
    assert (root / "reports/model-card.md").as_uri() in text


def test_rows_of_the_table_artifact_name_their_columns(tmp_path: Path) -> None:
    rows = summary.records(candidates_table.load(finished(tmp_path)))
    assert [row["candidate"] for row in rows] == ["teacher", "small"]
    assert {"quality", "p95", "size"} <= rows[0].keys()


def test_a_run_without_plot_or_package_still_has_a_summary(tmp_path: Path) -> None:
    root = finished(tmp_path)
    (root / "reports/frontier.png").unlink()
    (root / "reports/package.json").unlink()
    text = summary.markdown(root, candidates_table.load(root), Looks(2, 5))
    assert "base64" not in text
    assert "Bento" not in text
    assert summary.bento_tag(root) is None
