"""What a service tells Prometheus of its requests.

stillhouse_requests_total{model="sentiment",route="/predict",status="200"} 12
stillhouse_request_seconds_bucket{model="sentiment",route="/predict",le="0.1"} 11
stillhouse_requests_inside{model="sentiment"} 3
stillhouse_tokens_total{direction="completion",model="sentiment",route="/predict"} 12
stillhouse_saved_total{currency="USD",model="sentiment",route="/predict"} 0.000015

BentoML shows them at /metrics, beside its own.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
OTHER: Final = "other"
"""Route of all other paths: labels must not grow with what clients make up."""

UNANSWERED: Final = "499"
"""Status of a request whose client went away before it heard anything."""


class Visit:
    """One request; its `status` is set when the response begins."""

    status: str = UNANSWERED


class Meter:
    """Counters of one model, or of one router."""

    def __init__(
        self, model: str, routes: Collection[str], registry: CollectorRegistry = REGISTRY
    ) -> None:
        """`routes` are the paths that are told apart."""
        self._model, self._routes = model, frozenset(routes)
        self._requests = Counter(
            "stillhouse_requests", "Requests", ["model", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "stillhouse_request_seconds",
            "From a request to the end of its answer",
            ["model", "route"],
            buckets=SECONDS,
            registry=registry,
        )
        self._inside = Gauge(
            "stillhouse_requests_inside",
            "Requests that wait or are being answered",
            ["model"],
            multiprocess_mode="livesum",
            registry=registry,
        ).labels(model)
        self._tokens = Counter(
            "stillhouse_tokens",
            "Tokens read and written",
            ["model", "route", "direction"],
            registry=registry,
        )
        self._saved = Counter(
            "stillhouse_saved",
            "What answers cost less than the teacher's",
            ["model", "route", "currency"],
            registry=registry,
        )

    @contextmanager
    def visit(self, path: str) -> Iterator[Visit]:
        """Count one request from now until the context ends."""
        visit, started = Visit(), perf_counter()
        route = self._route(path)
        self._inside.inc()
        try:
            yield visit
        finally:
            self._inside.dec()
            self._requests.labels(self._model, route, visit.status).inc()
            self._seconds.labels(self._model, route).observe(perf_counter() - started)

    def tokens(self, path: str, prompt: int, completion: int) -> None:
        """Tokens of one answer."""
        route = self._route(path)
        self._tokens.labels(self._model, route, "prompt").inc(prompt)
        self._tokens.labels(self._model, route, "completion").inc(completion)

    def saved(self, path: str, amount: float, currency: str) -> None:
        """What one answer cost less than the teacher's would have; a loss is not counted."""
        self._saved.labels(self._model, self._route(path), currency).inc(max(amount, 0.0))

    def _route(self, path: str) -> str:
        return path if path in self._routes else OTHER
