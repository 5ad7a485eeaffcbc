"""What requests cost their holders: set aside before a model is asked, settled after.

    with bills.open("teacher", body, holder="team-a") as bill:
        bill.paid = (await upstream.ask(body)).price

What was set aside stands where nobody tells what was paid: a client that hangs up has had the model
work all the same. What a model refuses, or does not begin to answer, costs nothing.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bentos.router.deployment import Deployment, guess
from bentos.router.meter import RouterMeter
from bentos.router.spending import Spending
from bentos.router.upstream import RefusedError, UnavailableError


class OverLimitError(Exception):
    """The holder of the key has spent what a day may cost."""


@dataclass
class Bill:
    """One request to one model.

    Attributes:
        paid: what it costs; what was set aside until that is known.
        begun: a part of the answer has come.
    """

    paid: float
    begun: bool = False


class Bills:
    """Of one router."""

    def __init__(self, deployment: Deployment, spending: Spending, meter: RouterMeter) -> None:
        self._deployment, self._spending, self._meter = deployment, spending, meter

    @contextmanager
    def open(self, name: str, body: Mapping[str, Any], holder: str) -> Iterator[Bill]:
        """One request to the model `name`.

        Raises:
            OverLimitError: it may cost more than is left of the day's limit.
        """
        amount = guess(self._deployment.upstreams[name], body)
        if not self._spending.reserve(holder, amount, self._deployment.limit_of(holder)):
            raise OverLimitError
        bill = Bill(paid=amount)
        try:
            yield bill
        except (UnavailableError, RefusedError):
            if not bill.begun:
                bill.paid = 0.0
            raise
        finally:
            self._spending.settle(holder, amount, bill.paid)
            self._meter.cost(name, bill.paid)
