"""Money that may be spent, with what requests in flight may come to.

purse = Purse(limit=5.0, spent=1.2)
if await purse.reserve(0.01):
    await purse.settle(0.01, price)
"""

import asyncio


class Purse:
    """Never overdrawn: what cannot be paid at its dearest is not bought."""

    def __init__(self, limit: float | None, spent: float) -> None:
        self.spent = spent
        self._limit = limit
        self._set_aside: list[float] = []
        self._changed = asyncio.Condition()

    async def reserve(self, most: float) -> bool:
        """Set aside what a request costs at most; False where that is no longer there.

        Waits while it might be: requests in flight mostly cost less than was set aside for them.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self._holds(most) or not self._set_aside)
            if not self._holds(most):
                return False
            self._set_aside.append(most)
            return True

    async def settle(self, most: float, price: float) -> None:
        """Pay `price` for what `most` was set aside for."""
        async with self._changed:
            self._set_aside.remove(most)
            self.spent += price
            self._changed.notify_all()

    def _holds(self, most: float) -> bool:
        return self._limit is None or self.spent + sum(self._set_aside) + most <= self._limit
