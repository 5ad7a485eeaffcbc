"""The table is read from whichever copy of the reports there is, and stays light."""

import subprocess
import sys
from pathlib import Path

import pytest

from tasks import candidates_table
from tasks.errors import DataError
from tests.report.made_up import write_run


def test_rows_come_in_order_of_role_and_cost(tmp_path: Path) -> None:
    write_run(tmp_path)
    rows = candidates_table.rows(tmp_path)
    assert [row.name for row in rows][:3] == ["lora-fp32", "lora-int8", "half-int8"]
    assert rows[-1].name == "tfidf"
    assert [row.name for row in rows if row.chosen] == ["small-int8"]


def test_what_params_no_longer_name_is_passed_over(tmp_path: Path) -> None:
    write_run(tmp_path)
    (tmp_path / "params.yaml").write_text("evaluate: {candidates: {lora-fp32: {}}}\nbaseline: {}\n")
    assert [row.name for row in candidates_table.rows(tmp_path)] == ["lora-fp32"]


def test_published_copies_serve_where_outputs_are_not_checked_out(tmp_path: Path) -> None:
    write_run(tmp_path)
    outputs = candidates_table.load(tmp_path)
    (tmp_path / "reports").mkdir()
    (tmp_path / "data/gate/report.json").rename(tmp_path / "reports/gate.json")
    (tmp_path / "reports/evaluate").mkdir()
    first, *others = sorted(tmp_path.glob("data/evaluate/*/report.json"))
    for file in others:
        file.rename(tmp_path / f"reports/evaluate/{file.parent.name}.json")
    assert candidates_table.load(tmp_path) == outputs, "one output was restored"
    first.rename(tmp_path / f"reports/evaluate/{first.parent.name}.json")
    assert candidates_table.load(tmp_path) == outputs


def test_plain_and_markdown_mark_the_chosen_one(tmp_path: Path) -> None:
    write_run(tmp_path)
    table = candidates_table.load(tmp_path)
    assert "\nsmall-int8 *" in candidates_table.plain(table)
    assert "| **small-int8** | **candidate** |" in candidates_table.markdown(table)
    assert "USD 0.00118 (0.00110-0.00127)" in candidates_table.plain(table)


def test_an_empty_checkout_gives_an_empty_table(tmp_path: Path) -> None:
    table = candidates_table.load(tmp_path)
    assert (table.rows, table.gate) == ((), None)


def test_a_report_of_another_shape_is_named(tmp_path: Path) -> None:
    write_run(tmp_path)
    (tmp_path / "data/evaluate/tfidf/report.json").write_text('{"name": "tfidf"}')
    with pytest.raises(DataError, match=r"data/evaluate/tfidf/report\.json: not the report"):
        candidates_table.load(tmp_path)


def test_importing_the_table_loads_nothing_heavy() -> None:
    heavy = "('scipy', 'numpy', 'matplotlib', 'torch', 'bentos')"
    code = f"import sys, tasks.candidates_table; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
