"""Webhooks that are owed, until they are delivered or given up."""

from dataclasses import replace
from datetime import timedelta

from bouncer import events
from bouncer.records import Delivery, DeliveryState, Subscriber
from bouncer.store.outbox import Pending
from bouncer.store.store import Store
from tests.store.samples import EVERYTHING, LEASE, NOW


async def _owe(store: Store, cause: str, endpoint: str = "ops", minutes: int = 0) -> Delivery:
    at = NOW + timedelta(minutes=minutes)
    message = events.TestMessage(timestamp=at, data=events.WebhookTest(endpoint=endpoint))
    [delivery] = await store.outbox.add(message, cause, endpoint)
    return delivery


async def test_what_is_due_is_claimed_until_the_lease_ends(store: Store) -> None:
    second = await _owe(store, "b", minutes=1)
    first = await _owe(store, "a")
    await _owe(store, "c", endpoint="other")
    later = NOW + timedelta(minutes=5)
    assert await store.outbox.due("ops", 9, NOW - LEASE, LEASE) == []
    assert await store.outbox.due("ops", 1, later, LEASE) == [first]
    assert await store.outbox.due("ops", 9, later, LEASE) == [second]
    assert await store.outbox.due("ops", 9, later, LEASE) == []
    assert await store.outbox.due("ops", 9, later + LEASE, LEASE) == [first, second]


async def test_a_failed_attempt_is_due_again_when_it_says(store: Store) -> None:
    await _owe(store, "a")
    [delivery] = await store.outbox.due("ops", 9, NOW, LEASE)
    failed = replace(
        delivery,
        attempts=1,
        last_status=503,
        last_error="busy\0\ud800",
        next_attempt_at=NOW + 2 * LEASE,
    )
    await store.outbox.record(failed)
    assert await store.outbox.due("ops", 9, NOW + LEASE, LEASE) == []
    [again] = await store.outbox.due("ops", 9, NOW + 2 * LEASE, LEASE)
    assert again == replace(failed, last_error="busy\N{REPLACEMENT CHARACTER}")


async def test_what_is_delivered_stays_delivered(store: Store) -> None:
    await _owe(store, "a")
    [delivery] = await store.outbox.due("ops", 9, NOW, LEASE)
    done = replace(
        delivery, attempts=1, last_status=204, state=DeliveryState.DELIVERED, finished_at=NOW
    )
    await store.outbox.record(done)
    await store.outbox.record(replace(delivery, attempts=1))  # who thought that it had timed out
    assert (await store.outbox.find(9)).items == [done]
    assert await store.outbox.pending() == {}


async def test_a_message_of_one_cause_is_owed_once(store_url: str) -> None:
    subscribers = (*EVERYTHING, Subscriber("hard-only", ("bounce.hard",)))
    store = await Store.open(store_url, subscribers)
    message = events.TestMessage(timestamp=NOW, data=events.WebhookTest(endpoint="ops"))
    for _ in range(2):
        [added] = await store.outbox.add(message, "cause")
    assert (await store.outbox.find(9)).items == [added]
    assert added.endpoint == "ops"
    await store.close()


async def test_an_operator_can_retry_anything(store: Store) -> None:
    await _owe(store, "a")
    [delivery] = await store.outbox.due("ops", 9, NOW, LEASE)
    await store.outbox.record(
        replace(delivery, attempts=9, state=DeliveryState.FAILED, finished_at=NOW)
    )
    store.outbox.waiting.clear()
    assert await store.outbox.retry(delivery.id, NOW + LEASE)
    assert store.outbox.waiting.is_set()
    [again] = await store.outbox.due("ops", 9, NOW + LEASE, LEASE)
    assert (again.attempts, again.state, again.finished_at) == (0, DeliveryState.PENDING, None)
    await store.outbox.record(replace(again, attempts=1, next_attempt_at=NOW + 9 * LEASE))
    assert await store.outbox.retry(delivery.id, NOW + 2 * LEASE)
    [soon] = await store.outbox.due("ops", 9, NOW + 2 * LEASE, LEASE)
    assert soon.attempts == 1
    assert not await store.outbox.retry("nothing\0", NOW)


async def test_pending_says_how_many_and_since_when(store: Store) -> None:
    await _owe(store, "a", minutes=2)
    await _owe(store, "b", minutes=1)
    await _owe(store, "c", endpoint="other")
    assert await store.outbox.pending() == {
        "ops": Pending(2, NOW + timedelta(minutes=1)),
        "other": Pending(1, NOW),
    }


async def test_deliveries_are_found_newest_first(store: Store) -> None:
    owed = [await _owe(store, str(n), minutes=n // 2) for n in range(7)]
    newest = sorted(owed, key=lambda each: (each.created_at, each.id), reverse=True)
    found: list[Delivery] = []
    cursor: str | None = None
    while True:
        page = await store.outbox.find(2, cursor)
        found += page.items
        cursor = page.next
        if cursor is None:
            break
    assert found == newest
    assert (await store.outbox.find(9, endpoint="none")).items == []
    assert len((await store.outbox.find(9, state=DeliveryState.PENDING)).items) == 7


async def test_finished_deliveries_leave_and_owed_ones_stay(store: Store) -> None:
    await _owe(store, "a")
    await _owe(store, "b")
    [done, owed] = await store.outbox.due("ops", 9, NOW, LEASE)
    await store.outbox.record(replace(done, state=DeliveryState.DELIVERED, finished_at=NOW))
    assert (await store.expire(NOW, NOW + LEASE)).deliveries == 1
    assert (await store.outbox.find(9)).items == [owed]
