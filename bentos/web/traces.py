"""Traces for those who ask for them: OpenTelemetry's spans of every request, over OTLP and HTTP.

    OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 OTEL_TRACES_SAMPLER_ARG=0.1 bentoml serve ...

The names are OpenTelemetry's own (https://opentelemetry.io/docs/specs/otel/protocol/exporter/). A
span tells route, status and duration, no content. Without an endpoint none is made: spans that
nobody collects took two fifths of the time that HTTP takes of a request.
"""

import os
from typing import Any, Final

from fastapi.telemetry import TelemetryConfig

ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
SHARE: Final = "OTEL_TRACES_SAMPLER_ARG"
PATH: Final = "/v1/traces"
BY_BENTOML: Final = TelemetryConfig(tracing=False, metrics=False, logs=False)
"""Of an application in a service: FastAPI would look for collectors of its own at every request."""


def from_environment() -> dict[str, Any]:
    """The argument `tracing` of a service of BentoML.

    Raises:
        ValueError: the share of requests to trace is no number from 0 to 1.
    """
    endpoint = os.environ.get(ENDPOINT)
    if not endpoint:
        return {"excluded_urls": [".*"]}
    share = float(os.environ.get(SHARE, "1"))
    if not 0 <= share <= 1:
        raise ValueError(f"{SHARE} = {share}: must lie in 0..1")
    return {
        "exporter_type": "otlp",
        "sample_rate": share,
        "otlp": {"protocol": "http", "endpoint": endpoint.rstrip("/") + PATH},
    }
