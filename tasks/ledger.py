"""What a request costs, and whether it costs less than another: arithmetic on measured rates.

    prices = per_1000([108.1, 110.4, 109.0], price_per_hour=0.08)      one a repeat
    ratio(prices, teachers_prices)          Estimate(0.140, 0.131, 0.150): cheaper beyond doubt
    break_even(one_time=0.0143, saving_per_1000=0.00124)               11533 requests

A price is that of a machine which does nothing else: its price per hour divided by the requests
that it answers in an hour.
"""

import math
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from tasks import intervals
from tasks.intervals import Estimate

REQUESTS = 1000
TOKENS = 1_000_000
SECONDS_PER_HOUR = 3600


def per_1000(rates: Sequence[float], price_per_hour: float) -> list[float]:
    """Price of 1,000 requests at each rate, which is in requests per second."""
    return [price_per_hour / SECONDS_PER_HOUR / rate * REQUESTS for rate in rates]


def per_million_tokens(prices: Sequence[float], tokens_per_request: float) -> Estimate | None:
    """Price of a million tokens, read and written together, from prices of 1,000 requests.

    None where nothing is tokenized.
    """
    if tokens_per_request <= 0:
        return None
    return intervals.mean([price / REQUESTS / tokens_per_request * TOKENS for price in prices])


def ratio(prices: Sequence[float], others: Sequence[float], confidence: float = 0.95) -> Estimate:
    """Mean of `prices` divided by the mean of `others`, with a two-sided interval over repeats.

    Repeats of a timing differ by a factor, not by an amount, so the interval is Welch's for the
    difference of the means of their logarithms (Welch 1947, Biometrika 34:28), which asks for no
    equal spread. It is None where either side was measured once.

    Raises:
        ValueError: no prices, or one that is not above 0.
    """
    for side in (prices, others):
        if not side or min(side) <= 0:
            raise ValueError(f"prices {list(side)}: at least one, and each above 0")
    value = (math.fsum(prices) / len(prices)) / (math.fsum(others) / len(others))
    if min(len(prices), len(others)) < 2:
        return Estimate(value, None, None)
    logs, other_logs = np.log(prices), np.log(others)
    if np.ptp(logs) == 0 and np.ptp(other_logs) == 0:
        return Estimate(value, value, value)
    with warnings.catch_warnings():
        # SciPy warns of nearly equal repeats; their interval is narrow and right.
        warnings.simplefilter("ignore", RuntimeWarning)
        found = stats.ttest_ind(logs, other_logs, equal_var=False).confidence_interval(confidence)
    # The interval belongs to geometric means, which lie next to the arithmetic ones.
    return Estimate(value, min(value, math.exp(found.low)), max(value, math.exp(found.high)))


def machine_price(seconds: Mapping[str, float], price_per_hour: float) -> float:
    """Price of the machine time of all stages together."""
    return math.fsum(seconds.values()) / SECONDS_PER_HOUR * price_per_hour


def break_even(one_time: float, saving_per_1000: float) -> int | None:
    """Requests after which what is saved has paid what was spent once; None when nothing is."""
    if saving_per_1000 <= 0:
        return None
    return math.ceil(one_time * REQUESTS / saving_per_1000)
