"""Looks after what a router does: a canary that does worse is stopped, drift is told.

    watch = Watch(deployment, calibration, events)
    watch.stands_in("small-int8", random.random)  # "next" for a share, while the canary runs
    watch.saw("small-int8", "next", good=False)

Tests are sequential (see bentos.router.sequential), so looking after every request costs nothing.
"""

from collections.abc import Callable
from typing import Final

from bentos.router.calibration import Calibration
from bentos.router.deployment import Deployment
from bentos.router.events import Events
from bentos.router.sequential import Rate, differs, worse

WINDOW: Final = 2000
"""Requests after which drift is looked for anew: a long calm must not hide a change."""


class Watch:
    """Of one router; `good` is an answer that came and was sure enough."""

    def __init__(
        self, deployment: Deployment, calibration: Calibration | None, events: Events
    ) -> None:
        self._canary, self._alpha = deployment.canary, deployment.drift_alpha
        self._calibration, self._events = calibration, events
        self._new, self._old, self._onward = Rate(), Rate(), Rate()
        self._told = False
        self.canary_runs = self._canary is not None

    def stands_in(self, name: str, draw: Callable[[], float]) -> str:
        """Who is asked in the place of `name`; `draw` gives a number from 0 to 1."""
        canary = self._canary
        if canary is None or not self.canary_runs or canary.of != name:
            return name
        return canary.upstream if draw() < canary.share else name

    def saw(self, name: str, asked: str, good: bool) -> None:
        """An answer of `asked`, or none, where `name` was wanted."""
        if self._canary is not None and self._canary.of == name and self.canary_runs:
            self._compare(asked != name, good)
        if asked == name:
            self._look_for_drift(name, good)

    def _compare(self, new: bool, good: bool) -> None:
        (self._new if new else self._old).add(not good)
        canary = self._canary
        if canary is None or not worse(self._new, self._old, canary.alpha):
            return
        self.canary_runs = False
        facts = {
            "upstream": canary.upstream,
            "of": canary.of,
            "bad": round(self._new.value, 4),
            "bad_of_the_other": round(self._old.value, 4),
            "requests": self._new.count,
        }
        self._events.tell("canary-stopped", facts)

    def _look_for_drift(self, name: str, good: bool) -> None:
        known = self._calibration
        if known is None or known.level is None or known.models[0] != name:
            return
        self._onward.add(not good)
        expected = 1 - known.kept[0]
        if not self._told and differs(self._onward, expected, self._alpha):
            self._told = True
            seen = round(self._onward.value, 4)
            facts = {"expected": round(expected, 4), "seen": seen, "requests": self._onward.count}
            self._events.tell("escalation-drift", facts)
        if self._onward.count >= WINDOW:
            self._onward, self._told = Rate(), False
