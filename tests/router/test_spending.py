"""What may be spent a day, in a file that several processes share."""

import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from bentos.router.spending import Spending


def test_a_limit_is_not_passed_and_what_was_too_much_comes_back(tmp_path: Path) -> None:
    spending = Spending(tmp_path / "spent")
    assert spending.reserve("a", 0.6, 1.0)
    assert not spending.reserve("a", 0.6, 1.0)
    assert spending.reserve("b", 0.6, 1.0)
    spending.settle("a", reserved=0.6, paid=0.2)
    assert spending.spent("a") == pytest.approx(0.2)
    assert spending.reserve("a", 0.6, 1.0)
    assert not spending.reserve("c", 2.0, 1.0)
    assert spending.spent("c") == 0
    assert spending.reserve("c", 2.0, None)


def test_a_day_begins_anew(tmp_path: Path) -> None:
    days = [date(2026, 1, 1)]
    spending = Spending(tmp_path / "spent", lambda: days[-1])
    assert spending.reserve("a", 1.0, 1.0)
    assert not spending.reserve("a", 1.0, 1.0)
    days.append(date(2026, 1, 2))
    assert spending.reserve("a", 1.0, 1.0)


def test_what_was_spent_outlives_the_process(tmp_path: Path) -> None:
    file = tmp_path / "spent"
    code = (
        "import os, signal; from pathlib import Path\n"
        "from bentos.router.spending import Spending\n"
        f"Spending(Path({str(file)!r})).reserve('a', 0.7, 1.0)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    spending = Spending(file)
    assert spending.spent("a") == pytest.approx(0.7)
    assert not spending.reserve("a", 0.7, 1.0)


def test_without_a_file_it_is_kept_in_memory() -> None:
    spending = Spending(None)
    assert spending.reserve("a", 1.0, 1.0)
    assert not spending.reserve("a", 0.1, 1.0)
    spending.close()
