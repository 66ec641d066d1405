"""Messages, from the door to the moment that they are finished."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bouncer.errors import ConfigurationError
from bouncer.events import Event, Source
from bouncer.records import Finished, ItemState, Order, event_id
from bouncer.store.events import EventFilter
from bouncer.store.inbox import FinishOutcome
from bouncer.store.store import Store
from tests.store.samples import (
    EVERYTHING,
    LEASE,
    NOW,
    claimed,
    event,
    hard_bounce,
    many,
    received,
    suppression,
)

_HOUR = timedelta(hours=1)


async def test_a_message_is_kept_to_the_octet(store: Store) -> None:
    octets = bytes(range(256)) * 40 + b"\r\n\0.\r\n"
    item = received(octets, recipient="b=\udcff\0x@example.com")
    assert await store.inbox.receive([item]) == [True]
    assert await store.inbox.octets(item.id) == octets
    [got] = await claimed(store)
    assert (got.id, got.octets, got.sender, got.peer) == (item.id, octets, "", "192.0.2.1")
    assert (got.source, got.received_at, got.attempts, got.crashes) == (Source.SMTP, NOW, 1, 0)
    assert got.recipient == "b=\N{REPLACEMENT CHARACTER}x@example.com"


async def test_the_same_message_is_one_item_however_often_it_comes(store: Store) -> None:
    new = [await store.inbox.receive([received()]) for _ in range(3)]
    new += await asyncio.gather(*(store.inbox.receive([received()]) for _ in range(997)))
    assert new.count([True]) == 1
    assert (await store.inbox.counts())[ItemState.WAITING] == 1


async def test_of_fifty_at_once_one_is_new(store: Store) -> None:
    new = await asyncio.gather(*(store.inbox.receive([received()]) for _ in range(50)))
    assert new.count([True]) == 1


async def test_recipients_of_one_mail_share_its_octets(store: Store) -> None:
    mail = [received(recipient=f"b{n}@example.com") for n in range(3)]
    assert await store.inbox.receive([*mail, mail[0]]) == [True, True, True, False]
    assert len(await claimed(store)) == 3
    assert await store.inbox.octets(mail[2].id) == mail[2].octets


async def test_who_waits_is_woken(store: Store) -> None:
    assert await claimed(store) == []
    assert not store.inbox.waiting.is_set()
    await store.inbox.receive([received()])
    assert store.inbox.waiting.is_set()


async def test_human_mail_is_kept_and_not_read(store: Store) -> None:
    item = received(human=True)
    assert await store.inbox.receive([item]) == [True]
    assert await claimed(store) == []
    assert (await store.inbox.counts())[ItemState.HUMAN] == 1
    assert await store.inbox.oldest_unfinished() is None


async def test_the_oldest_come_first_and_nobody_gets_them_twice(store: Store) -> None:
    items = many(5)
    await store.inbox.receive(items[::-1])
    assert await store.inbox.oldest_unfinished() == NOW
    first = await claimed(store, 3)
    second = await claimed(store, 3)
    assert [item.id for item in first + second] == [item.id for item in items]
    assert await claimed(store) == []
    counts = await store.inbox.counts()
    assert (counts[ItemState.WAITING], counts[ItemState.READING]) == (0, 5)


async def test_a_batch_is_limited_by_its_octets(store: Store) -> None:
    await store.inbox.receive([received(bytes([n]) * 1000, at=NOW + n * LEASE) for n in range(4)])
    assert len(await claimed(store, max_octets=2500)) == 2
    assert len(await claimed(store, max_octets=10)) == 1


async def test_a_lease_that_has_ended_gives_the_item_to_another_alone(store: Store) -> None:
    await store.inbox.receive(many(3))
    late = await claimed(store, 2)
    assert [item.id for item in await claimed(store)] == [many(3)[2].id]
    [one] = await claimed(store, now=NOW + LEASE)
    [other] = await claimed(store, now=NOW + LEASE)
    assert {one.id, other.id} == {item.id for item in late}
    assert one.attempts == 2
    lost = next(item for item in late if item.id == one.id)
    assert not (await store.inbox.finish(hard_bounce(lost), NOW)).stored
    assert (await store.events.find(EventFilter(), 10)).items == []
    assert (await store.suppressions.matching("dead@example.org", NOW)) == []
    assert (await store.inbox.finish(hard_bounce(one), NOW)).stored


async def test_a_released_item_is_handed_out_alone(store: Store) -> None:
    await store.inbox.receive(many(4))
    await store.inbox.release(await claimed(store, 2))
    sizes = [len(await claimed(store)) for _ in range(4)]
    assert sizes == [1, 1, 2, 0]


async def test_who_wants_fresh_items_gets_one_that_was_tried_last_or_not_at_all(
    store: Store,
) -> None:
    await store.inbox.receive(many(4))
    tried = await claimed(store, 2)
    await store.inbox.release(tried)
    fresh = await claimed(store, order=Order.FRESH_FIRST)
    assert [item.id for item in fresh] == [item.id for item in many(4)[2:]]
    assert await claimed(store, order=Order.FRESH_ONLY) == []
    [one] = await claimed(store, order=Order.FRESH_FIRST)
    assert one.id == tried[0].id
    await store.inbox.release(fresh, untried=True)
    assert len(await claimed(store, order=Order.FRESH_ONLY)) == 2
    late = NOW + LEASE
    assert await claimed(store, now=late, order=Order.FRESH_ONLY) == []
    assert len(await claimed(store, now=late, order=Order.FRESH_FIRST)) == 1


async def test_a_crash_is_counted_and_the_claim_stands(store: Store) -> None:
    await store.inbox.receive([received()])
    [item] = await claimed(store)
    await store.inbox.record_crash(item)
    await store.inbox.release([item])
    await store.inbox.record_crash(item)  # not ours any more
    [again] = await claimed(store)
    assert (again.attempts, again.crashes) == (2, 1)
    outcome = await store.inbox.finish(Finished(again, (), (), ItemState.QUARANTINED), NOW)
    assert outcome.stored
    assert (await store.inbox.counts())[ItemState.QUARANTINED] == 1


async def test_what_a_dead_process_had_claimed_waits_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'bouncer.db'}"
    store = await Store.open(url, serving=True)
    await store.inbox.receive([received()])
    await claimed(store)
    command = await Store.open(url)
    assert await claimed(command) == []  # its owner lives
    await command.close()
    with pytest.raises(ConfigurationError, match="another bouncer"):
        await Store.open(url, serving=True)
    await store.close()
    store = await Store.open(url, serving=True)
    assert len(await claimed(store)) == 1
    await store.close()


async def test_finishing_stores_everything_in_one_transaction(store_url: str) -> None:
    store = await Store.open(store_url, EVERYTHING)
    await store.inbox.receive([received()])
    [item] = await claimed(store)
    before = store.database.transactions
    outcome = await store.inbox.finish(hard_bounce(item), NOW)
    assert outcome == FinishOutcome(stored=True, new_suppressions=1)
    assert store.database.transactions == before + 1
    [found] = (await store.events.find(EventFilter(), 10)).items
    assert found.id == event_id(item.id, 0)
    due = await store.outbox.due("ops", 10, NOW, LEASE)
    assert sorted(each.type for each in due) == ["bounce.hard", "suppression.added"]
    assert not (await store.inbox.finish(hard_bounce(item), NOW)).stored
    assert sum((await store.inbox.counts()).values()) == 0
    await store.close()


async def test_an_item_finished_twice_at_once_is_stored_once(store_url: str) -> None:
    store = await Store.open(store_url, EVERYTHING)
    await store.inbox.receive([received()])
    [item] = await claimed(store)
    outcomes = await asyncio.gather(
        *(store.inbox.finish(hard_bounce(item), NOW) for _ in range(10))
    )
    assert sum(outcome.stored for outcome in outcomes) == 1
    assert len((await store.outbox.find(10)).items) == 2
    await store.close()


async def test_nothing_is_stored_of_an_item_whose_events_cannot_be(store: Store) -> None:
    await store.inbox.receive(many(2))
    good, bad = await claimed(store)
    broken = Event.model_construct(**(dict(event("x")) | {"provider": None}))
    wrong = Finished(bad, (event("y"), broken), (suppression("other@example.org"),))
    outcomes = await asyncio.gather(
        store.inbox.finish(hard_bounce(good), NOW),
        store.inbox.finish(wrong, NOW),
        return_exceptions=True,
    )
    assert outcomes[0] == FinishOutcome(stored=True, new_suppressions=1)
    assert isinstance(outcomes[1], Exception)
    assert await store.events.get("y") is None
    assert await store.suppressions.matching("other@example.org", NOW) == []
    assert (await store.inbox.counts())[ItemState.READING] == 1


async def test_many_finishes_share_a_transaction(store: Store) -> None:
    await store.inbox.receive(many(100))
    items = await claimed(store)
    before = store.database.transactions
    outcomes = await asyncio.gather(*(store.inbox.finish(hard_bounce(item), NOW) for item in items))
    assert store.database.transactions - before < 10
    assert sum(outcome.new_suppressions for outcome in outcomes) == 1


async def test_octets_leave_first_and_their_ids_go_on_telling_duplicates(store: Store) -> None:
    old, shared, open_ = received(b"old"), received(b"shared"), received(b"open")
    await store.inbox.receive([old, shared, open_])
    items = {item.id: item for item in await claimed(store)}
    for item in (old, shared):
        await store.inbox.finish(hard_bounce(items[item.id]), NOW)
    late = replace(shared, recipient="other@example.com", received_at=NOW + 2 * _HOUR)
    await store.inbox.receive([late])
    expired = await store.expire(NOW + _HOUR, NOW - _HOUR)
    assert (expired.octets, expired.items, expired.events) == (1, 0, 0)
    assert await store.inbox.octets(old.id) is None
    assert await store.inbox.octets(shared.id) == b"shared"
    assert await store.inbox.octets(open_.id) == b"open"
    assert await store.inbox.receive([old]) == [False]
    assert await store.inbox.octets(old.id) is None


async def test_what_is_finished_leaves_at_last_and_what_waits_stays(store_url: str) -> None:
    store = await Store.open(store_url, EVERYTHING)
    await store.inbox.receive(many(450))
    items = await claimed(store, 440)
    await asyncio.gather(*(store.inbox.finish(hard_bounce(item), NOW) for item in items))
    [delivery, *_] = await store.outbox.due("ops", 1, NOW + _HOUR, LEASE)
    expired = await store.expire(NOW + _HOUR, NOW + _HOUR)
    assert (expired.octets, expired.items, expired.events) == (440, 440, 440)
    assert expired.deliveries == 0  # they are still owed
    assert (await store.events.find(EventFilter(), 10)).items == []
    assert (await store.inbox.counts())[ItemState.WAITING] == 10
    assert delivery.attempts == 0
    await store.close()


@pytest.mark.parametrize("state", [ItemState.DONE, ItemState.QUARANTINED])
async def test_a_finished_item_is_not_claimed_again(store: Store, state: ItemState) -> None:
    await store.inbox.receive([received()])
    [item] = await claimed(store)
    await store.inbox.finish(Finished(item, (), (), state), NOW)
    assert await claimed(store, now=NOW + 10 * LEASE) == []


async def test_of_a_batch_only_the_item_at_fault_is_not_finished(store: Store) -> None:
    for each in many(3):
        await store.inbox.receive([each])
    items = await claimed(store)
    batch = [hard_bounce(item) for item in items]
    [broken] = batch[1].events
    batch[1] = replace(batch[1], events=(broken.model_copy(update={"kind": None}),))
    with pytest.raises(AttributeError):
        await store.inbox.finish_all(batch, NOW)
    for finished in (batch[0], batch[2]):
        assert await store.events.get(finished.events[0].id) == finished.events[0]
    assert (await store.inbox.counts())[ItemState.READING] == 1


async def test_of_a_batch_an_item_that_was_claimed_again_is_left_out(store: Store) -> None:
    for each in many(2):
        await store.inbox.receive([each])
    first, second = (hard_bounce(item) for item in await claimed(store))
    late = replace(first, item=replace(first.item, claim="another"))
    outcomes = await store.inbox.finish_all([late, second], NOW)
    assert [outcome.stored for outcome in outcomes] == [False, True]
    assert await store.events.get(first.events[0].id) is None
