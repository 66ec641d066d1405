"""Works off the outbox: each endpoint on its own, so that a slow one delays no other.

At least once, with the same webhook-id each time. Everything worth keeping is in the outbox; an
attempt that is cancelled or killed has recorded nothing, and its claim runs out: it is made again.
"""

import asyncio
import contextlib
import logging
import random
import ssl
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from bouncer.clock import Clock, now
from bouncer.config import WebhookEndpoint
from bouncer.errors import StoreError
from bouncer.metrics import Metrics
from bouncer.records import Delivery
from bouncer.webhooks.post import TIMEOUT, Poster, Resolve, system_addresses
from bouncer.webhooks.retry import GONE, Outcome, after, given_up

MAX_IN_FLIGHT = 4
POLL = timedelta(seconds=1)
NO_ENDPOINT = "the endpoint is gone"
_ABANDONED_AT_ONCE = 500  # in one transaction: others write too
_LEASE_MARGIN = timedelta(seconds=30)  # beyond the timeout of an attempt, to record it

log = logging.getLogger(__name__)


class Outbox(Protocol):
    """What a worker needs of the store."""

    @property
    def waiting(self) -> asyncio.Event:
        """Set when something may be due."""

    async def due(
        self, endpoint: str, limit: int, now: datetime, lease: timedelta
    ) -> list[Delivery]:
        """Claims pending deliveries whose time has come."""

    async def record(self, delivery: Delivery) -> None:
        """Stores the result of an attempt, and ends the claim."""

    async def abandon(
        self, configured: Sequence[str], reason: str, limit: int, now: datetime
    ) -> dict[str, int]:
        """Fails what is owed to any other endpoint, so many at most; how many, by endpoint."""


async def run(
    outbox: Outbox,
    endpoints: Sequence[tuple[str, WebhookEndpoint]],
    metrics: Metrics,
    clock: Clock = now,
    *,
    timeout: timedelta = TIMEOUT,
    poll: timedelta = POLL,
    resolve: Resolve = system_addresses,
    tls: ssl.SSLContext | None = None,
    chance: Callable[[], float] = random.random,
) -> None:
    """Delivers until it is cancelled. What is owed to endpoints not named here fails at once."""
    trust = tls or ssl.create_default_context()
    async with contextlib.AsyncExitStack() as posters, asyncio.TaskGroup() as tasks:
        workers = []
        for name, endpoint in endpoints:
            poster = Poster(
                endpoint, connections=MAX_IN_FLIGHT, timeout=timeout, resolve=resolve, tls=trust
            )
            await posters.enter_async_context(poster)
            schedule = endpoint.retry_schedule
            lease = timeout + _LEASE_MARGIN
            workers.append(
                _Worker(outbox, name, poster, schedule, metrics, clock, lease, poll, chance)
            )
        for worker in workers:
            tasks.create_task(worker.run(), name=f"webhooks {worker.name}")
        names = [name for name, _ in endpoints]
        tasks.create_task(_abandon(outbox, names, clock, poll), name="webhooks abandoned")
        await _wake_all(outbox, workers)


async def _abandon(
    outbox: Outbox, configured: Sequence[str], clock: Clock, poll: timedelta
) -> None:
    """Ends what is owed to endpoints that are gone: nobody would deliver it, ever."""
    counts: Counter[str] = Counter()
    while True:
        try:
            failed = await outbox.abandon(configured, NO_ENDPOINT, _ABANDONED_AT_ONCE, clock())
        except StoreError:  # the workers say so
            await asyncio.sleep(poll.total_seconds())
            continue
        counts.update(failed)
        if not failed:
            break
    for name, count in counts.items():
        log.warning(
            "webhook endpoint %s is not configured any more: %d deliveries owed to it have failed",
            name,
            count,
        )


async def _wake_all(outbox: Outbox, workers: Sequence["_Worker"]) -> None:
    """Passes the outbox's signal on: if each worker cleared it, one would miss another's."""
    while True:
        await outbox.waiting.wait()
        outbox.waiting.clear()
        for worker in workers:
            worker.wake.set()


class _Worker:
    """Delivers to one endpoint. It claims no more than it can send at once."""

    def __init__(
        self,
        outbox: Outbox,
        name: str,
        poster: Poster,
        schedule: Sequence[timedelta],
        metrics: Metrics,
        clock: Clock,
        lease: timedelta,
        poll: timedelta,
        chance: Callable[[], float],
    ) -> None:
        self.name = name
        self.wake = asyncio.Event()
        self._outbox = outbox
        self._poster = poster
        self._schedule = schedule
        self._clock = clock
        self._lease = lease
        self._poll_seconds = poll.total_seconds()
        self._chance = chance
        self._in_flight = 0
        self._gone = False
        self._store_away = False
        self._counts = {
            outcome: metrics.webhook_deliveries.labels(endpoint=name, outcome=outcome.value)
            for outcome in Outcome
        }

    async def run(self) -> None:
        async with asyncio.TaskGroup() as attempts:
            while True:
                self.wake.clear()
                for delivery in await self._due():
                    self._in_flight += 1
                    attempts.create_task(self._deliver(delivery), name=f"webhook {delivery.id}")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._poll_seconds):
                        await self.wake.wait()

    async def _due(self) -> list[Delivery]:
        free = MAX_IN_FLIGHT - self._in_flight
        if not free:
            return []
        try:
            found = await self._outbox.due(self.name, free, self._clock(), self._lease)
        except StoreError as error:
            self._wait_for_store(error)
            return []
        self._store_away = False
        return found

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            if self._gone:
                reason = "the endpoint answered 410 Gone before"
                result, outcome = given_up(delivery, reason, self._clock()), Outcome.FAILED
            else:
                answer = await self._poster.post(delivery, self._clock())
                result, outcome = after(
                    delivery, answer, self._schedule, self._clock(), self._chance
                )
            await self._record(result)
            self._tell(result, outcome)
        finally:
            self._in_flight -= 1
            self.wake.set()

    async def _record(self, result: Delivery) -> None:
        while True:
            try:
                return await self._outbox.record(result)
            except StoreError as error:
                self._wait_for_store(error)
                await asyncio.sleep(self._poll_seconds)

    def _wait_for_store(self, error: StoreError) -> None:
        if not self._store_away:
            log.warning("webhooks to %s wait for the store: %s", self.name, error)
        self._store_away = True

    def _tell(self, result: Delivery, outcome: Outcome) -> None:
        self._counts[outcome].inc()
        level = logging.INFO if outcome in (Outcome.DELIVERED, Outcome.RETRIED) else logging.WARNING
        log.log(
            level,
            "webhook %s (%s) %s at attempt %d: %s",
            result.id,
            result.type,
            outcome.value,
            result.attempts,
            result.last_error or result.last_status,
        )
        if result.last_status == GONE and not self._gone:
            self._gone = True
            log.warning(
                "webhook endpoint %s answered 410 Gone: nothing more is sent to it until bouncer "
                "is restarted, and what was to be sent is failed",
                self.name,
            )
