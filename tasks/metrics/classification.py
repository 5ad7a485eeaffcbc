"""Right or wrong, and how well every label is found.

exact_match("positive", "positive")                     1.0
macro_f1(["positive", "positive"], ["positive", "negative"]).value()    0.333...
"""

from collections.abc import Sequence

import numpy as np

from tasks.metrics.additive import Additive, Floats


def exact_match(answer: str, reference: str) -> float:
    """1 where the answer is the reference but for blanks around it, else 0."""
    return float(answer.strip() == reference.strip())


def macro_f1(answers: Sequence[str], references: Sequence[str]) -> Additive:
    """Mean F1 of the labels that occur in the references: rare ones count like frequent ones."""
    labels = np.array(sorted(set(references)))
    said = np.asarray(answers)[:, None] == labels  # (N, L)
    wanted = np.asarray(references)[:, None] == labels
    # (N, 3 L): right, said, wanted
    return Additive(np.hstack([said & wanted, said, wanted]).astype(float), _mean_f1)


def _mean_f1(sums: Floats) -> Floats:
    right, said, wanted = np.split(sums, 3, axis=-1)  # each (..., L)
    occurring = wanted > 0
    f1 = 2 * right * occurring / np.maximum(said + wanted, 1)
    mean: Floats = f1.sum(-1) / np.maximum(occurring.sum(-1), 1)
    return mean
