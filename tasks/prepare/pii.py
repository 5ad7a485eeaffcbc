"""Personal data masked, counted, or a reason to drop a row.

"Write to jane@example.org" -> "Write to <EMAIL_ADDRESS>"

Found values are never kept: no attribute, report, reason or message of an exception holds one.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from tasks.prepare.config import Entity, Pii

Mask = Callable[[str], str]


class Finder:
    """Applies a workload's policy to one row after the other; without one it does nothing.

    Attributes:
        found: values of each entity.
        rows: rows that hold the entity.
    """

    def __init__(self, config: Pii | None) -> None:
        self.found: Counter[Entity] = Counter()
        self.rows: Counter[Entity] = Counter()
        self._config = config
        self._here: set[Entity] = set()
        if config is not None:
            from tasks.prepare.recognizers import Recognizers  # takes seconds to load

            self._recognizers = Recognizers(config.entities, config.phone_regions)

    def start(self) -> None:
        """Begin a row."""
        self._here = set()

    def mask(self, text: str) -> str:
        """`text` with every value replaced by its entity's name, if the policy says so."""
        if self._config is None:
            return text
        parts, end = [], 0
        for span in self._recognizers.find(text):
            self._count(span.entity)
            parts += [text[end : span.start], f"<{span.entity}>"]
            end = span.end
        return "".join([*parts, text[end:]]) if self._config.action == "mask" else text

    def dropped(self) -> list[Entity]:
        """The entities because of which the row must not be used."""
        drops = self._config is not None and self._config.action == "drop"
        return sorted(self._here) if drops else []

    def take(self) -> tuple[Counter[Entity], Counter[Entity]]:
        """What was counted since the last time: values and rows."""
        counted = self.found, self.rows
        self.found, self.rows = Counter(), Counter()
        return counted

    def _count(self, entity: Entity) -> None:
        self.found[entity] += 1
        if entity not in self._here:
            self._here.add(entity)
            self.rows[entity] += 1


def masked_json(value: Any, mask: Mask) -> Any:
    """A JSON value with its texts, keys and numbers masked; numbers that are become text."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, list):
        return [masked_json(entry, mask) for entry in value]
    if isinstance(value, dict):
        return {mask(key): masked_json(entry, mask) for key, entry in value.items()}
    if isinstance(value, int) and not isinstance(value, bool):
        masked = mask(str(value))
        return value if masked == str(value) else masked
    return value
