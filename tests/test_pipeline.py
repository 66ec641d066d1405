"""A turn of the pipeline: what it leaves behind when it ends, and when it is cut short."""

import asyncio
import itertools
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry

from bouncer.events import Source
from bouncer.metrics import Metrics
from bouncer.pipeline import Trials, Worker
from bouncer.reader import Reader, ReaderLimits, ReaderPool
from bouncer.records import ItemState, Order, Received, digest_of
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
    return Worker(store.inbox, readers, Metrics(CollectorRegistry()), "r", LEASE, clock, Trials())


async def test_a_turn_finishes_what_it_claimed(store: Store) -> None:
    clock, readers = FakeClock(), ReaderPool(1, {}, ReaderLimits())
    await given(store, clock, 3)
    assert await worker(store, readers, clock).turn()
    assert not await worker(store, readers, clock).turn()
    await readers.close()
    assert (await store.inbox.counts())[ItemState.WAITING] == 0
    assert sum((await store.suppressions.counts(clock())).values()) == 3


async def test_a_message_that_hangs_its_reader_is_tried_again_after_the_others(
    store: Store,
) -> None:
    clock, readers = FakeClock(), ReaderPool(1, {}, ReaderLimits(timeout=timedelta(seconds=2)))
    _hangs_over(readers._readers[0], b"gone-2@")
    await given(store, clock, 5)
    one = worker(store, readers, clock)
    read = []
    for _ in range(5):
        assert await one.turn()
        read.append(sum((await store.suppressions.counts(clock())).values()))
    assert read == [2, 4, 4, 4, 4]  # those before it, those behind it, and three tries alone
    assert await one.turn()
    assert (await store.inbox.counts())[ItemState.QUARANTINED] == 1
    await readers.close()


def _hangs_over(reader: Reader, poison: bytes) -> None:
    """Has it wait for ever when it comes to this message: we know none that does that."""
    ask: Callable[..., None] = reader._ask

    def cut(request: bytes, *octets: bytes) -> None:
        ask(request, *itertools.takewhile(lambda each: poison not in each, octets))

    reader._ask = cut  # type: ignore[method-assign]  # see above


async def test_suspects_are_tried_one_at_a_time_and_wait_for_a_while_after_a_death(
    store: Store,
) -> None:
    clock, readers, trials = FakeClock(), ReaderPool(1, {}, ReaderLimits()), Trials()
    first, second = (worker(store, readers, clock) for _ in range(2))
    assert trials.begin(first) is Order.OLDEST_FIRST
    assert trials.begin(second) is Order.FRESH_ONLY
    trials.end(second)
    assert trials.begin(second) is Order.FRESH_ONLY
    trials.took(1000)
    trials.end(first)
    assert trials.begin(second) is Order.FRESH_FIRST
    await readers.close()


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
