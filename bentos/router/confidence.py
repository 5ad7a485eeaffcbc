"""How sure a model is of its answer, 0 to 1: the geometric mean of its tokens' probabilities.

confidence([-0.02, -0.3])     # 0.85

Of a label that is one token it is the label's probability. The mean is over tokens, so that long
answers are not unsure for being long (Malinin and Gales 2021, ICLR, compare such scores).
Calibration and router ask this very function; what it is worth is measured, never assumed.
"""

import math
from collections.abc import Sequence


def confidence(logprobs: Sequence[float]) -> float:
    """Of the log-probabilities of an answer's tokens; 0 of an answer without tokens."""
    if not logprobs:
        return 0.0
    return math.exp(min(math.fsum(logprobs) / len(logprobs), 0.0))
