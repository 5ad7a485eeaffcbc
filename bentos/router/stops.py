"""Which canaries were stopped, in a file that outlives the process.

    stops = Stops(Path("spending.sqlite"))
    stops.add("next", "http://127.0.0.1:3002/v1 sentiment")
    stops.has("next", "http://127.0.0.1:3002/v1 sentiment")     # True, after a restart too

A canary is known by its name, address and model: another model under the same name is tried anew.
"""

from pathlib import Path

from bentos.router.spending import database

TABLE = "CREATE TABLE IF NOT EXISTS stopped (name TEXT, model TEXT, PRIMARY KEY (name, model))"


class Stops:
    """See the module."""

    def __init__(self, file: Path | None) -> None:
        """Without a file it is kept in memory, and forgotten with the process."""
        self._database = database(file, TABLE)

    def add(self, name: str, model: str) -> None:
        """It is stopped."""
        self._database.execute("INSERT OR IGNORE INTO stopped VALUES (?, ?)", (name, model))

    def has(self, name: str, model: str) -> bool:
        """Whether it was."""
        statement = "SELECT 1 FROM stopped WHERE name = ? AND model = ?"
        return self._database.execute(statement, (name, model)).fetchone() is not None

    def close(self) -> None:
        """Free the file."""
        self._database.close()
