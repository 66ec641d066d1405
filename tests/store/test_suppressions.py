"""Which addresses are not mailed, for which sending domain, and until when."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from bouncer.events import SuppressionReason
from bouncer.records import Finished, Suppression
from bouncer.store.store import Store
from bouncer.store.suppressions import ALL
from tests.store.samples import (
    EVERYTHING,
    LEASE,
    NOW,
    claimed,
    event,
    hard_bounce,
    received,
    suppression,
)

_DAY = timedelta(days=1)


async def _finish(store: Store, name: str, entry: Suppression, **what: object) -> int:
    at = entry.since
    await store.inbox.receive([received(name.encode(), at=at)])
    [item] = await claimed(store, now=at)
    made = event(name, entry.address, at=at, sending_domain=entry.sending_domain)
    outcome = await store.inbox.finish(
        Finished(item, (made,), (replace(entry, events=(name,)),)), at
    )
    assert outcome.stored
    return outcome.new_suppressions


async def test_a_hard_bounce_suppresses_once_and_each_is_evidence(store: Store) -> None:
    assert await _finish(store, "a", suppression()) == 1
    assert await _finish(store, "b", suppression(since=NOW + _DAY)) == 0
    [entry] = await store.suppressions.matching(" DEAD@example.ORG", NOW + _DAY)
    assert entry == replace(suppression(), events=("b", "a"))


async def test_evidence_is_bounded_to_the_newest(store: Store) -> None:
    await store.inbox.receive([received()])
    [item] = await claimed(store)
    made = [event(f"{n:03}", at=NOW + timedelta(seconds=n)) for n in range(30)]
    entries = tuple(suppression(events=(each.id,)) for each in made)
    await store.inbox.finish(Finished(item, tuple(made), entries), NOW)
    [entry] = await store.suppressions.matching("dead@example.org", NOW)
    assert entry.events == tuple(f"{n:03}" for n in reversed(range(10, 30)))


async def test_a_wider_entry_covers_the_narrow_and_not_the_other_way_round(store: Store) -> None:
    assert await _finish(store, "a", suppression()) == 1
    wide = suppression(sending_domain=None, reason=SuppressionReason.COMPLAINT)
    assert await _finish(store, "b", wide) == 1
    assert await _finish(store, "c", suppression(sending_domain="other.net")) == 0
    found = await store.suppressions.matching("dead@example.org", NOW)
    assert [entry.sending_domain for entry in found] == [None, "example.com"]


async def test_one_batch_of_the_same_address_suppresses_once(store_url: str) -> None:
    store = await Store.open(store_url, EVERYTHING)
    await store.inbox.receive([received(bytes([n])) for n in range(20)])
    items = await claimed(store)
    outcomes = await asyncio.gather(*(store.inbox.finish(hard_bounce(item), NOW) for item in items))
    assert sum(outcome.new_suppressions for outcome in outcomes) == 1
    due = await store.outbox.due("ops", 100, NOW, LEASE)
    assert [each.type for each in due].count("suppression.added") == 1
    assert [each.type for each in due].count("bounce.hard") == 20
    await store.close()


async def test_an_entry_holds_for_its_domain_and_a_null_one_for_all(store: Store) -> None:
    await store.suppressions.put(suppression("a@x.org", sending_domain="Example.com"))
    await store.suppressions.put(suppression("b@x.org", sending_domain=None))
    addresses = ["A@x.org", "b@X.org", "c@x.org", "a@x.org"]
    check = store.suppressions.check
    assert [e.address for e in await check(addresses, "EXAMPLE.COM", NOW)] == ["a@x.org", "b@x.org"]
    assert [e.address for e in await check(addresses, "other.net", NOW)] == ["b@x.org"]
    assert [e.address for e in await check(addresses, None, NOW)] == ["a@x.org", "b@x.org"]
    assert await check([], None, NOW) == []


async def test_thousands_of_addresses_are_checked_in_one_call(store: Store) -> None:
    await store.suppressions.put(suppression("u1999@x.org"))
    found = await store.suppressions.check([f"u{n}@x.org" for n in range(2500)], None, NOW)
    assert [entry.address for entry in found] == ["u1999@x.org"]


async def test_an_entry_whose_time_is_over_is_not_in_force(store: Store) -> None:
    ending = suppression(until=NOW + _DAY)
    assert await store.suppressions.put(ending)
    just_before = NOW + _DAY - timedelta(microseconds=1)
    assert len(await store.suppressions.matching("dead@example.org", just_before)) == 1
    assert await store.suppressions.matching("dead@example.org", NOW + _DAY) == []
    assert sum((await store.suppressions.counts(NOW + _DAY)).values()) == 0
    assert (await store.suppressions.find(10, now=NOW + _DAY)).items == []
    assert await _finish(store, "again", suppression(since=NOW + 2 * _DAY)) == 1
    [entry] = await store.suppressions.matching("dead@example.org", NOW + 2 * _DAY)
    assert (entry.since, entry.until, entry.events) == (NOW + 2 * _DAY, None, ("again",))


async def test_a_hard_bounce_outlasts_a_temporary_entry_of_the_same_key(store_url: str) -> None:
    store = await Store.open(store_url, EVERYTHING)
    by_hand = suppression(reason=SuppressionReason.MANUAL, until=NOW + _DAY)
    await store.suppressions.put(by_hand)
    later = NOW + _DAY / 2
    assert await _finish(store, "a", suppression(since=later)) == 1
    [entry] = await store.suppressions.matching("dead@example.org", NOW + 2 * _DAY)
    assert entry == replace(suppression(since=later), events=("a",))
    types = [each.type for each in (await store.outbox.find(10)).items]
    assert types.count("suppression.added") == 2
    assert await _finish(store, "b", suppression(since=later + LEASE)) == 0
    await store.close()


async def test_a_temporary_entry_for_all_covers_nothing_that_lasts_longer(store: Store) -> None:
    wide = suppression(sending_domain=None, reason=SuppressionReason.MANUAL, until=NOW + _DAY)
    await store.suppressions.put(wide)
    assert await _finish(store, "a", suppression()) == 1
    now = await store.suppressions.matching("dead@example.org", NOW)
    assert [entry.sending_domain for entry in now] == [None, "example.com"]
    later = await store.suppressions.matching("dead@example.org", NOW + 2 * _DAY)
    assert [(entry.sending_domain, entry.until) for entry in later] == [("example.com", None)]


async def test_of_one_batch_the_entry_that_lasts_longest_stays(store: Store) -> None:
    await store.inbox.receive([received()])
    [item] = await claimed(store)
    entries = tuple(suppression(until=until) for until in (NOW + _DAY, None, NOW + 2 * _DAY))
    outcome = await store.inbox.finish(Finished(item, (event("a"),), entries), NOW)
    assert outcome.new_suppressions == 2
    [entry] = await store.suppressions.matching("dead@example.org", NOW)
    assert entry.until is None


async def test_putting_twice_changes_and_is_told_once(store_url: str) -> None:
    store = await Store.open(store_url, EVERYTHING)
    entry = suppression(reason=SuppressionReason.MANUAL)
    assert await store.suppressions.put(entry)
    assert not await store.suppressions.put(replace(entry, until=NOW + _DAY, since=NOW + LEASE))
    [found] = await store.suppressions.matching("dead@example.org", NOW)
    assert (found.since, found.until) == (NOW, NOW + _DAY)
    assert len((await store.outbox.find(10)).items) == 1
    await store.close()


async def test_a_removed_address_may_be_mailed_and_suppressed_again(store_url: str) -> None:
    store = await Store.open(store_url, EVERYTHING)
    await store.suppressions.put(suppression())
    removed = await store.suppressions.remove("Dead@example.org", "example.com", NOW + LEASE)
    assert removed == [suppression()]
    assert await store.suppressions.matching("dead@example.org", NOW) == []
    assert await store.suppressions.remove("dead@example.org", "example.com", NOW) == []
    assert await store.suppressions.put(suppression(since=NOW + _DAY))
    types = [each.type for each in (await store.outbox.find(10)).items]
    assert types == ["suppression.added", "suppression.removed", "suppression.added"]
    await store.close()


async def test_removal_is_for_one_domain_or_the_widest_or_all(store: Store) -> None:
    async def fill() -> None:
        for domain in (None, "a.com", "b.com"):
            await store.suppressions.put(suppression(sending_domain=domain))

    async def left() -> list[str | None]:
        found = await store.suppressions.matching("dead@example.org", NOW)
        return [entry.sending_domain for entry in found]

    await fill()
    assert len(await store.suppressions.remove("dead@example.org", None, NOW)) == 1
    assert await left() == ["a.com", "b.com"]
    assert len(await store.suppressions.remove("dead@example.org", "a.com", NOW)) == 1
    assert await left() == ["b.com"]
    await fill()
    assert len(await store.suppressions.remove("dead@example.org", ALL, NOW)) == 3
    assert await left() == []


async def test_pages_and_counts_of_what_is_in_force(store: Store) -> None:
    for n in range(5):
        reason = SuppressionReason.MANUAL if n % 2 else SuppressionReason.HARD_BOUNCE
        domain = "a.com" if n < 3 else None
        await store.suppressions.put(
            suppression(f"u{n}@x.org", sending_domain=domain, reason=reason)
        )
    first = await store.suppressions.find(3)
    rest = await store.suppressions.find(3, first.next)
    assert [e.address for e in first.items + rest.items] == [f"u{n}@x.org" for n in range(5)]
    assert rest.next is None
    manual = await store.suppressions.find(9, reason=SuppressionReason.MANUAL)
    assert [e.address for e in manual.items] == ["u1@x.org", "u3@x.org"]
    assert len((await store.suppressions.find(9, sending_domain="A.com")).items) == 3
    counts = await store.suppressions.counts(NOW)
    assert (counts[SuppressionReason.MANUAL], counts[SuppressionReason.COMPLAINT]) == (2, 0)


async def test_an_address_with_nul_is_looked_up_without(store: Store) -> None:
    await store.suppressions.put(suppression("x\0y@x.org"))
    assert len(await store.suppressions.matching("xy\0@x.org", NOW)) == 1
