"""Figures as a reader wants them: percent, points, three significant digits.

points(0.004) == "+0.4"; percent(0.908) == "90.8%"; text(6272) == "6,272"
"""

from collections.abc import Mapping

Fact = tuple[str, str]
LONGEST_LIST = 12


def percent(share: float) -> str:
    """A share as percentage with one decimal: 90.8%."""
    return f"{100 * share:.1f}%"


def points(share: float) -> str:
    """A signed difference in percentage points with its sign: +0.4."""
    return f"{100 * share:+.1f}".replace("-", "\N{MINUS SIGN}")


def rounded(value: float | None) -> str:
    """A measurement with three significant digits: 7,300 or 18.9; "-" when not measured."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def text(value: object) -> str:
    """A single value for a reader: thousands separated, four significant digits."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
        case _:
            return str(value)


def flatten(content: Mapping[str, object], prefix: str = "") -> tuple[Fact, ...]:
    """Nested values as keys with their text; long lists are counted, not shown."""
    facts: list[Fact] = []
    for key, value in content.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping) and value.keys() == {"value", "low", "high"}:
            facts.append((name, _span(value)))
        elif isinstance(value, Mapping):
            facts += flatten(value, f"{prefix}{key}: ")
        elif isinstance(value, list):
            facts.append((name, _listed(value)))
        else:
            facts.append((name, text(value)))
    return tuple(facts)


def _span(value: Mapping[str, object]) -> str:
    if value["low"] is None or value["high"] is None:
        return text(value["value"])
    return f"{text(value['value'])} ({text(value['low'])} to {text(value['high'])})"


def _listed(values: list[object]) -> str:
    if len(values) > LONGEST_LIST or any(isinstance(value, dict | list) for value in values):
        return f"{len(values):,} entries"
    return ", ".join(text(value) for value in values)
