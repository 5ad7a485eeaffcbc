"""Metrics of a whole corpus whose ingredients add up, one row an item, so that any sample of items
has its value at once.

    macro_f1(answers, references).interval()    Interval(0.873, 0.851, 0.894)
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.intervals import Interval

Floats = NDArray[np.float64]
RESAMPLES = 2000
BLOCK = 250
"""Resamples weighed at a time, so that a large corpus stays in memory."""


class Additive(NamedTuple):
    """A metric of many items.

    Attributes:
        rows: (N, K), what each item adds.
        of_sums: the metric, 0 to 1, of each sample's sums: (..., K) to (...).
    """

    rows: Floats
    of_sums: Callable[[Floats], Floats]

    def value(self) -> float:
        """Of all items."""
        return float(self.of_sums(self.rows.sum(axis=0)))

    def interval(self, confidence: float = 0.95) -> Interval:
        """With its percentile bootstrap interval (Efron and Tibshirani 1993, chapter 13)."""
        drawn = self.resampled()
        low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
        return Interval(self.value(), float(low), float(high))

    def resampled(self) -> Floats:
        """The metric of RESAMPLES samples with replacement, (RESAMPLES,).

        Seeded: two metrics of the same items are given the same samples, so that their
        differences are paired.
        """
        generator, items = np.random.default_rng(0), len(self.rows)
        drawn = []
        for _ in range(RESAMPLES // BLOCK):
            taken = generator.integers(items, size=(BLOCK, items))
            weights = np.stack([np.bincount(each, minlength=items) for each in taken])
            drawn.append(self.of_sums(weights @ self.rows))
        return np.concatenate(drawn)
