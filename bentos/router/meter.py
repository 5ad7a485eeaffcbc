"""What a router tells Prometheus beside what every service tells (bentos.web.meter).

stillhouse_routed_total{tier="standard",upstream="small-int8",degraded="false"} 12
stillhouse_upstream_cost_total{upstream="small-int8",currency="USD"} 0.0024
stillhouse_upstream_failures_total{upstream="teacher"} 1
stillhouse_shadow_total{upstream="next",outcome="same"} 3
stillhouse_router_saved_total{currency="USD"} 0.01
"""

from prometheus_client import REGISTRY, CollectorRegistry, Counter


class RouterMeter:
    """Counters of one router."""

    def __init__(self, currency: str, registry: CollectorRegistry = REGISTRY) -> None:
        self._currency = currency
        self._routed = Counter(
            "stillhouse_routed",
            "Requests by whose answer they got",
            ["tier", "upstream", "degraded"],
            registry=registry,
        )
        self._cost = Counter(
            "stillhouse_upstream_cost", "Paid", ["upstream", "currency"], registry=registry
        )
        self._failures = Counter(
            "stillhouse_upstream_failures",
            "Answers that did not come",
            ["upstream"],
            registry=registry,
        )
        self._shadow = Counter(
            "stillhouse_shadow", "Shadow requests", ["upstream", "outcome"], registry=registry
        )
        self._saved = Counter(
            "stillhouse_router_saved",
            "What answers cost less than from the tier's last model",
            ["currency"],
            registry=registry,
        )

    def routed(self, tier: str, upstream: str, degraded: bool) -> None:
        """A request was answered."""
        self._routed.labels(tier, upstream, str(degraded).lower()).inc()

    def cost(self, upstream: str, amount: float) -> None:
        """An answer was paid for."""
        self._cost.labels(upstream, self._currency).inc(amount)

    def failed(self, upstream: str) -> None:
        """No answer came."""
        self._failures.labels(upstream).inc()

    def shadowed(self, upstream: str, outcome: str) -> None:
        """A shadow request ended."""
        self._shadow.labels(upstream, outcome).inc()

    def saved(self, amount: float) -> None:
        """An answer cost less; a loss is not counted."""
        self._saved.labels(self._currency).inc(max(amount, 0.0))
