"""Runs the delivery worker as the service does, and stops it by cancelling."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from bouncer.clock import Clock, now
from bouncer.config import WebhookEndpoint
from bouncer.metrics import Metrics
from bouncer.webhooks import deliver
from bouncer.webhooks.post import Resolve, system_addresses
from tests.webhooks.receiver import SECRET

SOON = (timedelta(milliseconds=10),) * 3
TIMEOUT = timedelta(seconds=10)


def endpoint(
    url: str, schedule: Sequence[timedelta] = SOON, *, allow_private: bool = True
) -> WebhookEndpoint:
    return WebhookEndpoint(
        url=url,
        secret=SecretStr(SECRET),
        events=("*",),
        allow_private=allow_private,
        retry_schedule=tuple(schedule),
    )


@dataclass
class Counted:
    """The metrics of one run."""

    metrics: Metrics = field(default_factory=lambda: Metrics(CollectorRegistry()))

    def __getitem__(self, outcome: str) -> float:
        return self.of("ops", outcome)

    def of(self, name: str, outcome: str) -> float:
        labels = {"endpoint": name, "outcome": outcome}
        value = self.metrics.registry.get_sample_value("bouncer_webhook_deliveries_total", labels)
        return value or 0


@contextlib.asynccontextmanager
async def delivering(
    outbox: deliver.Outbox,
    *endpoints: WebhookEndpoint,
    names: Sequence[str] = ("ops", "second"),
    timeout: timedelta = TIMEOUT,
    resolve: Resolve = system_addresses,
    tls: ssl.SSLContext | None = None,
    clock: Clock = now,
) -> AsyncIterator[Counted]:
    counted = Counted()
    worker = asyncio.create_task(
        deliver.run(
            outbox,
            list(zip(names, endpoints, strict=False)),
            counted.metrics,
            clock,
            timeout=timeout,
            poll=timedelta(milliseconds=20),
            resolve=resolve,
            tls=tls,
        )
    )
    try:
        yield counted
        if worker.done():
            worker.result()
    finally:
        worker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await worker
