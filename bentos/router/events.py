"""Tells people that something changed: the log, and Prefect's automations where a server is named.

events.tell("canary-stopped", {"upstream": "next", "rate": 0.2})

Prefect gets it as stillhouse.router.canary-stopped, on which an automation may act.
"""

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import uuid4

import httpx

_log = logging.getLogger(__name__)


class Events:
    """Of one router."""

    def __init__(self, workload: str, client: httpx.AsyncClient, url: str | None) -> None:
        """`url` is that of a Prefect server's API."""
        self._workload, self._client = workload, client
        self._url = None if url is None else url.rstrip("/") + "/events"
        self._sending: set[asyncio.Task[None]] = set()

    def tell(self, kind: str, facts: Mapping[str, object]) -> None:
        """Log it at once, and send it meanwhile."""
        _log.warning("%s: %s", kind, dict(facts))
        if self._url is not None:
            task = asyncio.get_running_loop().create_task(self._send(self._url, kind, facts))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send(self, url: str, kind: str, facts: Mapping[str, object]) -> None:
        event = {
            "id": str(uuid4()),
            "occurred": datetime.now(UTC).isoformat(),
            "event": f"stillhouse.router.{kind}",
            "resource": {"prefect.resource.id": f"stillhouse.router.{self._workload}"},
            "payload": dict(facts),
        }
        try:
            (await self._client.post(url, json=[event], timeout=10)).raise_for_status()
        except httpx.HTTPError as error:
            _log.warning("the event %s could not be sent: %s", kind, type(error).__name__)
