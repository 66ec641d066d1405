"""A turn of the pipeline: what it leaves behind when it ends, and when it is cut short."""

import asyncio
from datetime import timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry

from bouncer.events import Source
from bouncer.metrics import Metrics
from bouncer.pipeline import Worker
from bouncer.reader import ReaderLimits, ReaderPool
from bouncer.records import ItemState, Received, digest_of
from bouncer.store.store import Store
from tests.fakes import FakeClock

EXAMPLE = (Path(__file__).parents[1] / "docs/examples/first-bounce.eml").read_bytes()
LEASE = timedelta(minutes=1)


async def given(store: Store, clock: FakeClock, count: int) -> None:
    for number in range(count):
        octets = EXAMPLE.replace(b"gone@", b"gone-%d@" % number)
        received = Received(Source.SMTP, "x@bounces.test", "", octets, digest_of(octets), clock())
        await store.inbox.receive([received])


def worker(store: Store, readers: ReaderPool, clock: FakeClock) -> Worker:
    return Worker(store.inbox, readers, Metrics(CollectorRegistry()), "r", LEASE, clock)


async def test_a_turn_finishes_what_it_claimed(store: Store) -> None:
    clock, readers = FakeClock(), ReaderPool(1, {}, ReaderLimits())
    await given(store, clock, 3)
    assert await worker(store, readers, clock).turn()
    assert not await worker(store, readers, clock).turn()
    await readers.close()
    assert (await store.inbox.counts())[ItemState.WAITING] == 0
    assert sum((await store.suppressions.counts(clock())).values()) == 3


async def test_a_turn_that_is_cancelled_gives_its_items_back_untried(store: Store) -> None:
    clock, readers = FakeClock(), ReaderPool(1, {}, ReaderLimits())
    await given(store, clock, 3)
    async with readers.reader():  # the only one: the turn waits for it
        turn = asyncio.create_task(worker(store, readers, clock).turn())
        async with asyncio.timeout(20):
            while (await store.inbox.counts())[ItemState.READING] < 3:
                await asyncio.wait([turn], timeout=0.01)
        turn.cancel()
        await asyncio.gather(turn, return_exceptions=True)
    assert (await store.inbox.counts())[ItemState.WAITING] == 3
    items = await store.inbox.claim(10, 10**6, LEASE, clock())
    assert [item.attempts for item in items] == [1, 1, 1]
    await readers.close()
