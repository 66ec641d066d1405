"""Gauges that are computed at the scrape, from what the store holds at that moment."""

import asyncio
import logging
from collections.abc import Sequence

from prometheus_client import Gauge, generate_latest

from bouncer.clock import Clock
from bouncer.errors import StoreError
from bouncer.events import SuppressionReason
from bouncer.metrics import Metrics
from bouncer.store.store import Store

log = logging.getLogger(__name__)

_STORE_SECONDS = 5.0


class Gauges:
    """Counts what waits and what is in force, and renders all metrics."""

    def __init__(
        self, store: Store, metrics: Metrics, endpoints: Sequence[str], clock: Clock
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._endpoints = endpoints
        self._clock = clock

    async def render(self) -> bytes:
        """The exposition text. When the store is away, its gauges keep their last values."""
        try:
            async with asyncio.timeout(_STORE_SECONDS):
                await self._refresh()
        except (StoreError, TimeoutError):
            log.warning("the store did not answer a scrape; its gauges are old")
        return await asyncio.to_thread(generate_latest, self._metrics.registry)

    async def _refresh(self) -> None:
        metrics, at = self._metrics, self._clock()
        for state, count in (await self._store.inbox.counts()).items():
            metrics.inbox_messages.labels(state).set(count)
        oldest = await self._store.inbox.oldest_unfinished()
        metrics.inbox_oldest_age.set(max(0.0, (at - oldest).total_seconds()) if oldest else 0)
        reasons = await self._store.suppressions.counts(at)
        for reason in SuppressionReason:
            metrics.suppressions.labels(reason).set(reasons.get(reason, 0))
        pending = await self._store.outbox.pending()
        for gauge in (metrics.webhook_pending, metrics.webhook_oldest_pending_age):
            _keep_only(gauge, self._endpoints)
        for endpoint in self._endpoints:
            waiting = pending.get(endpoint)
            age = (at - waiting.oldest).total_seconds() if waiting else 0
            metrics.webhook_pending.labels(endpoint).set(waiting.count if waiting else 0)
            metrics.webhook_oldest_pending_age.labels(endpoint).set(max(0.0, age))
        free = self._store.free_bytes()
        if free is not None:
            metrics.store_free_bytes.set(free)


def _keep_only(gauge: Gauge, endpoints: Sequence[str]) -> None:
    """Drops the values of endpoints that were configured before a reload: nothing sets them now."""
    [family] = gauge.collect()
    for endpoint in {sample.labels["endpoint"] for sample in family.samples} - {*endpoints}:
        gauge.remove(endpoint)
