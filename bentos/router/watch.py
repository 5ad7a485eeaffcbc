"""Looks after what a router does: a canary that does worse is stopped, drift is told.

    watch = Watch(deployment, calibration, events, stops)
    watch.stands_in("small-int8", random.random)  # "next" for a share, while the canary runs
    watch.saw("small-int8", "next", good=False)
    watch.went_on("small-int8", onward=True)

Tests are sequential (see bentos.router.sequential), so looking after every request costs nothing.
A canary that was stopped stays so when the service starts again.
"""

from collections.abc import Callable
from typing import Final

from bentos.router.calibration import Calibration
from bentos.router.deployment import Deployment
from bentos.router.events import Events
from bentos.router.sequential import Rate, outside, worse
from bentos.router.stops import Stops

WINDOW: Final = 2000
"""Requests after which drift is looked for anew: a long calm must not hide a change."""


class Watch:
    """Of one router."""

    def __init__(
        self,
        deployment: Deployment,
        calibration: Calibration | None,
        events: Events,
        stops: Stops,
    ) -> None:
        self._canary, self._alpha = deployment.canary, deployment.drift_alpha
        self._calibration, self._events, self._stops = calibration, events, stops
        self._new, self._old, self._onward = Rate(), Rate(), Rate()
        self._told = False
        self._expected = _expected(calibration, self._alpha / 2)
        self._model = ""
        if self._canary is not None:
            upstream = deployment.upstreams[self._canary.upstream]
            self._model = f"{upstream.base_url} {upstream.model}"
        self.canary_runs = self._canary is not None and not stops.has(
            self._canary.upstream, self._model
        )

    def stands_in(self, name: str, draw: Callable[[], float]) -> str:
        """Who is asked in the place of `name`; `draw` gives a number from 0 to 1."""
        canary = self._canary
        if canary is None or not self.canary_runs or canary.of != name:
            return name
        return canary.upstream if draw() < canary.share else name

    def saw(self, name: str, drawn: str, good: bool) -> None:
        """How it went with `drawn`, on whom the draw fell for a request to `name`.

        Good is an answer that came and, where that was asked, was sure enough.
        """
        if self._canary is not None and self._canary.of == name and self.canary_runs:
            self._compare(drawn != name, good)

    def _compare(self, new: bool, good: bool) -> None:
        (self._new if new else self._old).add(not good)
        canary = self._canary
        if canary is None or not worse(self._new, self._old, canary.alpha):
            return
        self.canary_runs = False
        self._stops.add(canary.upstream, self._model)
        facts = {
            "upstream": canary.upstream,
            "of": canary.of,
            "bad": round(self._new.value, 4),
            "bad_of_the_other": round(self._old.value, 4),
            "requests": self._new.count,
        }
        self._events.tell("canary-stopped", facts)

    def went_on(self, name: str, onward: bool) -> None:
        """Whether a request went on from `name`, whose own answer was not sure enough."""
        known, expected = self._calibration, self._expected
        if known is None or expected is None or known.models[0] != name:
            return
        self._onward.add(onward)
        if not self._told and outside(self._onward, expected, self._alpha / 2):
            self._told = True
            facts = {
                "expected": round(1 - known.kept[0], 4),
                "seen": round(self._onward.value, 4),
                "requests": self._onward.count,
            }
            self._events.tell("escalation-drift", facts)
        if self._onward.count >= WINDOW:
            self._onward, self._told = Rate(), False


def _expected(known: Calibration | None, alpha: float) -> tuple[float, float] | None:
    """Between which bounds the share that goes on may lie, by the rows that it was measured on."""
    if known is None or known.level is None:
        return None
    return Rate(known.rows - round(known.kept[0] * known.rows), known.rows).bounds(alpha)
