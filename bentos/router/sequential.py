"""Bounds of a rate that hold at every moment at once, so that one may look after each event.

    rate = Rate(); rate.add(True); rate.bounds(alpha=0.05)     # (0.03, 1.0)

By the beta-binomial mixture (Robbins 1970, Ann. Math. Statist. 41:1397; as a prior-posterior ratio,
Waudby-Smith and Ramdas 2020, NeurIPS): a rate p is left out as soon as the mixture of all rates
explains what was seen 1/alpha times as well as p does, which a true p suffers with probability at
most alpha, however long one looks.
"""

import math
from dataclasses import dataclass

STEPS = 40
"""Of bisection; far finer than any decision needs."""


@dataclass
class Rate:
    """How often something happened."""

    hits: int = 0
    count: int = 0

    def add(self, hit: bool) -> None:
        """One more event, or one that did not come about."""
        self.hits += hit
        self.count += 1

    @property
    def value(self) -> float:
        """The share; 0 before the first."""
        return self.hits / self.count if self.count else 0.0

    def bounds(self, alpha: float) -> tuple[float, float]:
        """Lowest and highest rate that is not yet left out."""
        if self.count == 0:
            return 0.0, 1.0
        low = self._edge(0.0, self.value, alpha) if self.hits else 0.0
        high = self._edge(1.0, self.value, alpha) if self.hits < self.count else 1.0
        return low, high

    def _edge(self, outside: float, inside: float, alpha: float) -> float:
        for _ in range(STEPS):
            middle = (outside + inside) / 2
            if self._evidence_against(middle) >= math.log(1 / alpha):
                outside = middle
            else:
                inside = middle
        return outside

    def _evidence_against(self, rate: float) -> float:
        """Log of how much better the mixture explains what was seen."""
        misses = self.count - self.hits
        mixture = math.lgamma(self.hits + 1) + math.lgamma(misses + 1) - math.lgamma(self.count + 2)
        return mixture - self.hits * math.log(rate) - misses * math.log1p(-rate)


def worse(new: Rate, old: Rate, alpha: float) -> bool:
    """Whether `new` is shown to happen more often than `old`; wrong with probability alpha."""
    return new.bounds(alpha / 2)[0] > old.bounds(alpha / 2)[1]


def outside(seen: Rate, expected: tuple[float, float], alpha: float) -> bool:
    """Whether a rate is shown to lie outside of an interval; wrong with probability alpha."""
    low, high = seen.bounds(alpha)
    return high < expected[0] or low > expected[1]
