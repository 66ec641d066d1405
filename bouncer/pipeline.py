"""Inbox -> report -> category -> event -> suppression -> outbox: the life of a message, stored.

Start reading here. A worker claims messages, has a reader process read and judge them
(`reading.py`), and finishes each in one transaction: events, suppressions, outbox and the state of
the inbox item. A crash or a cancel anywhere means "again", and again means the same, because every
id derives from what arrived.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from time import perf_counter
from typing import Protocol

from bouncer import __version__
from bouncer.clock import Clock, now
from bouncer.errors import ReaderDied, StoreError
from bouncer.mail.address import masked
from bouncer.metrics import Metrics
from bouncer.reader import Reader, ReaderPool
from bouncer.reading import Arrival, Reading, unrecognised
from bouncer.records import Finished, InboxItem, ItemState
from bouncer.reports.report import Kind
from bouncer.store.inbox import FinishOutcome
from bouncer.suppression import suppression_for

log = logging.getLogger(__name__)

BATCH_ITEMS = 100
BATCH_OCTETS = 8 * 2**20
MAX_CRASHES = 3  # of a reader, over this message alone
MAX_ATTEMPTS = 10  # claims that never came back, as when the whole service dies each time
_IDLE_SECONDS = 1.0
_STORE_WAIT_SECONDS = 1.0


class Inbox(Protocol):
    """What the pipeline asks of the store."""

    waiting: asyncio.Event

    async def claim(
        self, limit: int, max_octets: int, lease: timedelta, now: datetime
    ) -> list[InboxItem]: ...
    async def finish_all(
        self, finished: Sequence[Finished], now: datetime
    ) -> list[FinishOutcome]: ...
    async def release(self, items: Sequence[InboxItem], *, untried: bool = False) -> None: ...
    async def record_crash(self, item: InboxItem) -> None: ...


async def run(
    inbox: Inbox,
    readers: ReaderPool,
    metrics: Metrics,
    *,
    workers: int,
    lease: timedelta,
    clock: Clock = now,
) -> None:
    """Works the inbox until cancelled. Two workers a reader keep it busy while one commits."""
    ruleset = await _started(readers)
    metrics.build_info.clear()  # of the ruleset before
    metrics.build_info.labels(__version__, ruleset).set(1)
    async with asyncio.TaskGroup() as tasks:
        for number in range(workers):
            worker = Worker(inbox, readers, metrics, ruleset, lease, clock)
            tasks.create_task(worker.run(), name=f"pipeline-{number}")


async def _started(readers: ReaderPool | Reader) -> str:
    """The version of their ruleset. A reader that cannot start is a fault to stop for."""
    for seconds in (1.0, 5.0):
        try:
            return await readers.start()
        except ReaderDied as death:
            log.warning("readers do not start, trying again in %g s: %s", seconds, death)
            await asyncio.sleep(seconds)
    return await readers.start()


class Worker:
    """One loop over the inbox; a turn of it is one batch of messages."""

    def __init__(
        self,
        inbox: Inbox,
        readers: ReaderPool,
        metrics: Metrics,
        ruleset: str,
        lease: timedelta,
        clock: Clock,
    ) -> None:
        self._inbox = inbox
        self._readers = readers
        self._metrics = metrics
        # Of closed sets of labels: looked up once, as that costs more than to count.
        self._processed = cache(lambda *labels: metrics.messages_processed.labels(*labels).inc)
        self._event = cache(lambda *labels: metrics.events.labels(*labels).inc)
        self._ruleset = ruleset
        self._lease = lease
        self._clock = clock

    async def run(self) -> None:
        while True:
            try:
                if not await self.turn():
                    await self._wait()
            except StoreError as error:
                log.warning("the store is away; messages wait in it: %s", error)
                await asyncio.sleep(_STORE_WAIT_SECONDS)

    async def turn(self) -> bool:
        """Claims a batch and finishes it; False when there was nothing to do."""
        started = perf_counter()
        items = await self._inbox.claim(BATCH_ITEMS, BATCH_OCTETS, self._lease, self._clock())
        if not items:
            return False
        try:
            await self._work(items)
        except asyncio.CancelledError:
            with contextlib.suppress(StoreError):  # then the lease ends
                await self._inbox.release(items, untried=True)
            raise
        self._metrics.message_processing_seconds.observe(perf_counter() - started)
        return True

    async def _work(self, items: list[InboxItem]) -> None:
        if len(items) == 1 and self._is_poison(items[0]):
            await self._quarantine(items[0])
            return
        async with self._readers.reader() as reader:
            readings = await self._read(reader, items)
        await self._store([_finished(*each) for each in zip(items, readings, strict=False)])

    async def _read(self, reader: Reader, items: list[InboxItem]) -> Sequence[Reading]:
        """The readings, or none when the reader died: then each is tried alone (`Inbox.claim`)."""
        started = False
        try:
            await _started(reader)
            started = True
            return await reader.read(items)
        except ReaderDied as death:
            if not started:  # no fault of these messages
                raise
            self._metrics.reader_deaths.labels("alone" if len(items) == 1 else "batch").inc()
            log.warning("%s over %s (%d in the batch)", death, items[0].id, len(items))
        if len(items) == 1:
            await self._inbox.record_crash(items[0])
        await self._inbox.release(items)
        return []

    async def _quarantine(self, item: InboxItem) -> None:
        log.error("%s is quarantined: readers died over it", item.id)
        arrival = Arrival(item.id, item.recipient, item.source, item.received_at, item.media_type)
        event = unrecognised(arrival, self._ruleset, ("quarantined: the reader did not survive",))
        await self._store([Finished(item, (event,), (), ItemState.QUARANTINED)])

    async def _store(self, batch: Sequence[Finished]) -> None:
        outcomes = await self._finish(batch)
        for finished, outcome in zip(batch, outcomes, strict=True):
            if outcome.stored:
                self._tell(finished, outcome.new_suppressions)
            else:
                log.warning("%s was finished by another worker", finished.item.id)

    async def _finish(self, batch: Sequence[Finished]) -> list[FinishOutcome]:
        """Does not give up: what is read need not wait for the end of its lease."""
        while True:
            try:
                return await self._inbox.finish_all(batch, self._clock())
            except StoreError as error:
                log.warning("the store is away; %d messages wait for it: %s", len(batch), error)
                await asyncio.sleep(_STORE_WAIT_SECONDS)

    def _tell(self, finished: Finished, new_suppressions: int) -> None:
        first = finished.events[0]
        self._processed(first.format, _outcome(finished))()
        for event in finished.events:
            self._event(
                event.kind,
                event.class_ or "none",
                event.category or "none",
                event.provider,
                event.sending_domain or "none",
            )()
        log.info(
            "processed %s format=%s kind=%s class=%s category=%s events=%d suppressed=%d to=%s",
            finished.item.id,
            first.format,
            first.kind,
            first.class_,
            first.category,
            len(finished.events),
            new_suppressions,
            masked(first.recipient or ""),
        )

    @staticmethod
    def _is_poison(item: InboxItem) -> bool:
        return item.crashes >= MAX_CRASHES or item.attempts > MAX_ATTEMPTS

    async def _wait(self) -> None:
        """Until something arrives; another process may have put it there, so not for ever."""
        try:
            async with asyncio.timeout(_IDLE_SECONDS):
                await self._inbox.waiting.wait()
        except TimeoutError:
            pass


def _finished(item: InboxItem, reading: Reading) -> Finished:
    suppressions = tuple(s for e in reading.events if (s := suppression_for(e)))
    return Finished(item, reading.events, suppressions)


def _outcome(finished: Finished) -> str:
    if finished.state is ItemState.QUARANTINED:
        return "quarantined"
    return "unrecognised" if finished.events[0].kind is Kind.UNRECOGNISED else "read"
