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
from time import monotonic, perf_counter
from typing import Protocol

from bouncer import __version__
from bouncer.clock import Clock, now
from bouncer.errors import ReaderDied, StoreError
from bouncer.mail.address import masked
from bouncer.metrics import Metrics
from bouncer.reader import BatchDied, Reader, ReaderPool
from bouncer.reading import Arrival, Reading, unrecognised
from bouncer.records import Finished, InboxItem, ItemState, Order
from bouncer.reports.report import Kind
from bouncer.store.inbox import FinishOutcome
from bouncer.suppression import suppression_for

log = logging.getLogger(__name__)

BATCH_ITEMS = 100
BATCH_OCTETS = 8 * 2**20
MAX_CRASHES = 3  # of a reader, over this message alone
MAX_ATTEMPTS = 10  # claims that never came back, as when the whole service dies each time
_TRIAL_SHARE = 0.1  # of the time, for suspects while others wait
_IDLE_SECONDS = 1.0
_STORE_WAIT_SECONDS = 1.0


class Inbox(Protocol):
    """What the pipeline asks of the store."""

    waiting: asyncio.Event

    async def claim(
        self,
        limit: int,
        max_octets: int,
        lease: timedelta,
        now: datetime,
        order: Order = Order.OLDEST_FIRST,
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
    trials = Trials()
    async with asyncio.TaskGroup() as tasks:
        for number in range(workers):
            worker = Worker(inbox, readers, metrics, ruleset, lease, clock, trials)
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


class Trials:
    """When suspects are tried again: one at a time, and after those that nobody suspects.

    Where others always wait, a suspect has its turn when it has waited for nine times as long as
    the last one took: it does not starve, and the others keep the readers for most of the time.
    """

    def __init__(self) -> None:
        self._by: Worker | None = None
        self._due = 0.0

    def begin(self, worker: "Worker") -> Order:
        """What this one may claim; if it may be a suspect, the others may not until `end`."""
        if self._by is not None:
            return Order.FRESH_ONLY
        self._by = worker
        return Order.FRESH_FIRST if monotonic() < self._due else Order.OLDEST_FIRST

    def end(self, worker: "Worker") -> None:
        if self._by is worker:
            self._by = None

    def took(self, seconds: float) -> None:
        """Notes what a message cost that may be tried again."""
        self._due = monotonic() + seconds * (1 / _TRIAL_SHARE - 1)


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
        trials: Trials,
    ) -> None:
        self._inbox = inbox
        self._trials = trials
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
        try:
            items = await self._claim(self._trials.begin(self))
            if not items:
                return False
            await self._finish_or_release(items)
        finally:
            self._trials.end(self)
        self._metrics.message_processing_seconds.observe(perf_counter() - started)
        return True

    async def _claim(self, order: Order) -> list[InboxItem]:
        items = await self._inbox.claim(
            BATCH_ITEMS, BATCH_OCTETS, self._lease, self._clock(), order
        )
        if not any(item.attempts > 1 or item.crashes for item in items):
            self._trials.end(self)
        return items

    async def _finish_or_release(self, items: list[InboxItem]) -> None:
        try:
            await self._work(items)
        except asyncio.CancelledError:
            with contextlib.suppress(StoreError):  # then the lease ends
                await self._inbox.release(items, untried=True)
            raise

    async def _work(self, items: list[InboxItem]) -> None:
        if len(items) == 1 and self._is_poison(items[0]):
            await self._quarantine(items[0])
            return
        async with self._readers.reader() as reader:
            readings = await self._read(reader, items)
        await self._store([_finished(*each) for each in zip(items, readings, strict=False)])

    async def _read(self, reader: Reader, items: list[InboxItem]) -> Sequence[Reading]:
        """The readings; those before the message that its reader died over, if it did.

        That one is a suspect from then on, and those behind it wait as if nothing had been.
        """
        await _started(reader)
        started = perf_counter()
        try:
            return await reader.read(items)
        except BatchDied as death:
            seconds, readings = perf_counter() - started, death.readings
            suspect, *untried = items[len(readings) :]
            self._metrics.reader_deaths.labels("alone" if len(items) == 1 else "batch").inc()
            log.warning("%s over %s (%d in the batch)", death, suspect.id, len(items))
        self._trials.took(seconds)
        if len(items) == 1:
            await self._inbox.record_crash(suspect)
        await self._inbox.release([suspect])
        await self._inbox.release(untried, untried=True)
        return readings

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
