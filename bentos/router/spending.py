"""What each holder of a key has spent today, in a file that outlives the process.

    spending = Spending(Path("spending.sqlite"))
    spending.reserve("team-a", 0.002, limit=5.0)     # False when the day's limit would be passed
    spending.settle("team-a", reserved=0.002, paid=0.0013)

Days are UTC's. Several processes may share the file: a reservation is one statement of SQLite.
"""

import sqlite3
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

TABLE = """
CREATE TABLE IF NOT EXISTS spent (
    holder TEXT NOT NULL, day TEXT NOT NULL, amount REAL NOT NULL, PRIMARY KEY (holder, day)
)
"""
RESERVE = """
INSERT INTO spent (holder, day, amount) SELECT ?1, ?2, ?3 WHERE ?3 <= ?4
ON CONFLICT (holder, day) DO UPDATE SET amount = amount + ?3 WHERE amount + ?3 <= ?4
"""
UNLIMITED = 1e300


def today() -> date:
    """The day, UTC."""
    return datetime.now(UTC).date()


def database(file: Path | None, table: str) -> sqlite3.Connection:
    """A database that several processes may share, with its table; in memory without a file."""
    # Made where the service starts, used by the loop that answers: one after the other.
    opened = sqlite3.connect(
        file or ":memory:", isolation_level=None, timeout=5, check_same_thread=False
    )
    opened.execute("PRAGMA journal_mode = WAL")
    opened.execute("PRAGMA synchronous = NORMAL")
    opened.execute(table)
    return opened


class Spending:
    """See the module."""

    def __init__(self, file: Path | None, day: Callable[[], date] = today) -> None:
        """Without a file it is kept in memory, and forgotten with the process."""
        self._day = day
        self._database = database(file, TABLE)

    def reserve(self, holder: str, amount: float, limit: float | None) -> bool:
        """Set an amount aside; False, and nothing is, when it would pass the limit."""
        most = UNLIMITED if limit is None else limit
        told = (holder, self._day().isoformat(), amount, most)
        return self._database.execute(RESERVE, told).rowcount > 0

    def settle(self, holder: str, reserved: float, paid: float) -> None:
        """Put what was paid in the place of what was set aside."""
        statement = "UPDATE spent SET amount = max(amount + ?, 0) WHERE holder = ? AND day = ?"
        self._database.execute(statement, (paid - reserved, holder, self._day().isoformat()))

    def spent(self, holder: str) -> float:
        """Today."""
        statement = "SELECT amount FROM spent WHERE holder = ? AND day = ?"
        found = self._database.execute(statement, (holder, self._day().isoformat())).fetchone()
        return float(found[0]) if found else 0.0

    def close(self) -> None:
        """Free the file."""
        self._database.close()
