"""Amended events: their old versions, and the suppressions that follow."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from bouncer.amendment import Amended, Amendment
from bouncer.classify.category import BounceClass, Category
from bouncer.errors import StoreFull
from bouncer.events import Event, SuppressionReason
from bouncer.records import Finished, InboxItem, ItemState, Suppression, event_id
from bouncer.reports.report import Kind
from bouncer.store.events import EventFilter
from bouncer.store.store import Store
from bouncer.suppression import suppression_for
from tests.store.samples import EVERYTHING, NOW, claimed, event, received, suppression

_DAY = timedelta(days=1)
_LATER = NOW + 30 * _DAY
_SOFT: dict[str, Any] = {"class_": BounceClass.SOFT, "category": Category.MAILBOX_FULL}


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """One with a webhook endpoint that wants everything."""
    opened = await Store.open(store_url, EVERYTHING)
    yield opened
    await opened.close()


async def _finished(
    store: Store, *events: dict[str, Any], days: int = 0, state: ItemState = ItemState.DONE
) -> tuple[InboxItem, list[Event]]:
    """A message with these events, as the pipeline stores it."""
    at = NOW + days * _DAY
    await store.inbox.receive([received(f"{events} {days}".encode(), at=at)])
    [item] = await claimed(store, now=_LATER)
    made = [event(event_id(item.id, n), at=at, **given) for n, given in enumerate(events)]
    called_for = tuple(s for e in made if (s := suppression_for(e)))
    await store.inbox.finish(Finished(item, tuple(made), called_for, state), at)
    return item, made


async def _amend(
    store: Store, *read: tuple[InboxItem, Sequence[Event]], at: timedelta = _DAY
) -> Amended:
    amendments = [
        Amendment(item, tuple(e.model_copy(update={"ruleset": "new"}) for e in events))
        for item, events in read
    ]
    return await store.history.amend(amendments, "new", _LATER + at)


def _changed(events: Sequence[Event], **update: Any) -> list[Event]:
    return [e.model_copy(update=update) for e in events]


async def _told(store: Store) -> list[tuple[str, str]]:
    page = await store.outbox.find(100)
    return [(delivery.type, delivery.id) for delivery in reversed(page.items)]


async def _suppressed(store: Store) -> list[Suppression]:
    return (await store.suppressions.find(100)).items


async def test_an_amended_event_keeps_its_id_and_its_old_version(store: Store) -> None:
    item, events = await _finished(store, {})
    amended = await _amend(store, (item, _changed(events, **_SOFT)))
    assert [change.id for change in amended.changes] == [events[0].id]
    now = await store.events.get(events[0].id)
    assert now is not None
    assert (now.class_, now.category, now.ruleset) == ("soft", "mailbox_full", "new")
    [version] = await store.history.versions(events[0].id)
    assert (version.version, version.event, version.replaced_by) == (1, events[0], "new")
    assert version.replaced_at == _LATER + _DAY
    found = await store.events.find(EventFilter(class_=BounceClass.SOFT), 10)
    assert [e.id for e in found.items] == [events[0].id]


async def test_twice_is_the_same_as_once(store: Store) -> None:
    item, events = await _finished(store, {})
    soft = _changed(events, **_SOFT)
    assert (await _amend(store, (item, soft))).changes
    told = await _told(store)
    again = await _amend(store, (item, soft), at=2 * _DAY)
    assert again == Amended()
    assert len(await store.history.versions(events[0].id)) == 1
    assert await _told(store) == told


async def test_comparing_changes_nothing(store: Store) -> None:
    item, events = await _finished(store, {})
    found = await store.history.compare([Amendment(item, tuple(_changed(events, **_SOFT)))])
    assert (len(found.changes), set(found.items)) == (1, {item.id})
    assert await store.history.versions(events[0].id) == []
    assert await store.events.get(events[0].id) == events[0]
    followed = await store.history.would_follow(found.lost, found.gained, _LATER)
    assert [s.address for s in followed.removed] == ["dead@example.org"]
    assert len(await _suppressed(store)) == 1


async def test_recipients_may_come_and_go(store: Store) -> None:
    recipients = [{"recipient": f"r{n}@example.org"} for n in range(9)]
    item, events = await _finished(store, *recipients)
    amended = await _amend(store, (item, events[:2]))
    assert [change.after for change in amended.changes] == [None] * 7
    assert await store.events.get(events[2].id) is None
    assert (await store.history.versions(events[2].id))[0].event == events[2]
    assert {s.address for s in amended.removed} == {f"r{n}@example.org" for n in range(2, 9)}
    back = await _amend(store, (item, events), at=2 * _DAY)
    assert [change.before for change in back.changes] == [None] * 7
    assert len(back.added) == len(amended.removed)
    assert len((await store.events.find(EventFilter(), 100)).items) == 9


async def test_a_suppression_falls_with_its_event_and_comes_back_with_it(store: Store) -> None:
    item, events = await _finished(store, {})
    [before] = await _suppressed(store)
    amended = await _amend(store, (item, _changed(events, **_SOFT)))
    assert [(s.address, s.events) for s in amended.removed] == [(before.address, before.events)]
    assert await _suppressed(store) == []
    back = await _amend(store, (item, events), at=2 * _DAY)
    assert [s.address for s in back.added] == ["dead@example.org"]
    assert await _suppressed(store) == [before]
    await _amend(store, (item, _changed(events, **_SOFT)), at=3 * _DAY)
    told = [type_ for type_, _ in await _told(store)]
    assert sorted(told[:2]) == ["bounce.hard", "suppression.added"]
    assert told[2:] == ["suppression.removed", "suppression.added", "suppression.removed"]


async def test_a_suppression_with_other_evidence_stays_until_that_falls_too(store: Store) -> None:
    first, first_events = await _finished(store, {})
    second, second_events = await _finished(store, {}, days=1)
    amended = await _amend(store, (first, _changed(first_events, **_SOFT)))
    assert (len(amended.changes), amended.removed) == (1, ())
    [entry] = await _suppressed(store)
    assert entry.events == (second_events[0].id,)
    amended = await _amend(store, (second, _changed(second_events, **_SOFT)))
    assert [s.events for s in amended.removed] == [(second_events[0].id, first_events[0].id)]


async def test_a_suppression_whose_first_event_is_forgotten_stays(store: Store) -> None:
    await _finished(store, {})
    second, events = await _finished(store, {}, days=1)
    await store.expire(NOW, NOW + timedelta(hours=1))
    soft = _changed(events, **_SOFT)
    found = await store.history.compare([Amendment(second, tuple(soft))])
    followed = await store.history.would_follow(found.lost, found.gained, _LATER)
    assert (await _amend(store, (second, soft))).removed == followed.removed == ()
    assert len(await _suppressed(store)) == 1


async def test_what_people_put_or_removed_stays_so(store: Store) -> None:
    item, events = await _finished(store, {})
    other, other_events = await _finished(store, {"recipient": "other@example.org"}, days=1)
    manual = suppression(reason=SuppressionReason.MANUAL)
    entry = Suppression(manual.address, "example.com", manual.reason, "cli", _LATER)
    assert not await store.suppressions.put(entry)  # it takes the place of the pipeline's
    await store.suppressions.remove("other@example.org", "example.com", _LATER)
    amended = await _amend(
        store,
        (item, _changed(events, **_SOFT)),
        (other, _changed(other_events, diagnostic="550 nobody")),
    )
    assert (len(amended.changes), amended.removed, amended.added) == (2, (), ())
    assert [(s.address, s.source) for s in await _suppressed(store)] == [
        ("dead@example.org", "cli")
    ]


async def test_an_unsubscribe_that_a_fallen_entry_covered_takes_its_place(store: Store) -> None:
    item, events = await _finished(store, {})
    await _finished(store, {"kind": Kind.UNSUBSCRIBE, "class_": None}, days=1)
    soft = _changed(events, **_SOFT)
    found = await store.history.compare([Amendment(item, tuple(soft))])
    foreseen = await store.history.would_follow(found.lost, found.gained, _LATER)
    amended = await _amend(store, (item, soft))
    assert foreseen.removed == amended.removed
    assert [s.reason for s in amended.removed] == ["hard_bounce"]
    assert [s.reason for s in foreseen.added] == [s.reason for s in amended.added]
    assert [s.reason for s in await _suppressed(store)] == ["unsubscribe"]


async def test_another_address_or_domain_moves_the_suppression(store: Store) -> None:
    item, events = await _finished(store, {})
    other, other_events = await _finished(store, {"recipient": "x@example.org"}, days=1)
    amended = await _amend(
        store,
        (item, _changed(events, recipient="<Real@Example.org>".strip("<>"))),
        (other, _changed(other_events, sending_domain="Example.net")),
    )
    removed = {(s.address, s.sending_domain) for s in amended.removed}
    assert removed == {("dead@example.org", "example.com"), ("x@example.org", "example.com")}
    assert {(s.address, s.sending_domain) for s in await _suppressed(store)} == {
        ("real@example.org", "example.com"),
        ("x@example.org", "example.net"),
    }


async def test_nobody_is_told_of_an_amended_bounce(store: Store) -> None:
    item, events = await _finished(store, _SOFT)
    await _amend(store, (item, _changed(events, class_=BounceClass.HARD, category=None)))
    assert {type_ for type_, _ in await _told(store)} == {"bounce.soft", "suppression.added"}


async def test_a_quarantined_message_that_is_read_is_done_and_told_of(store: Store) -> None:
    nothing = {"kind": Kind.UNRECOGNISED, "class_": None, "recipient": None, "category": None}
    item, events = await _finished(store, nothing, state=ItemState.QUARANTINED)
    read = [event(events[0].id), event(event_id(item.id, 1), "b@example.org")]
    amended = await _amend(store, (item, read))
    assert len(amended.added) == 2
    assert (await store.inbox.counts())[ItemState.QUARANTINED] == 0
    types = sorted(type_ for type_, _ in await _told(store))
    assert types == ["bounce.hard"] * 2 + ["suppression.added"] * 2


async def test_an_item_that_is_gone_or_not_finished_is_left_alone(store: Store) -> None:
    await store.inbox.receive([received()])
    [item] = await claimed(store)
    assert await _amend(store, (item, [event(event_id(item.id, 0))])) == Amended()
    assert await store.events.get(event_id(item.id, 0)) is None


async def test_replaying_while_bounces_arrive_leaves_no_dead_address_unsuppressed(
    store_url: str, store: Store
) -> None:
    """The last evidence falls away just as new evidence comes, in another process."""
    import asyncio

    beside = await Store.open(store_url, EVERYTHING)
    for day in range(10):
        recipient = f"r{day}@example.org"
        item, events = await _finished(store, {"recipient": recipient}, days=day)
        await beside.inbox.receive([received(b"again %d" % day, at=NOW + day * _DAY)])
        [new] = await claimed(beside, now=_LATER)
        hard = event(event_id(new.id, 0), recipient, at=NOW + (day + 1) * _DAY)
        called_for = suppression_for(hard)
        assert called_for
        await asyncio.gather(
            _amend(store, (item, _changed(events, **_SOFT))),
            beside.inbox.finish(Finished(new, (hard,), (called_for,)), _LATER),
        )
        assert [s.address for s in await store.suppressions.matching(recipient, _LATER)] == [
            recipient
        ]
    await beside.close()


async def test_versions_leave_with_the_events_they_were_of(store: Store) -> None:
    item, events = await _finished(store, {})
    await _amend(store, (item, _changed(events, **_SOFT)))
    await _amend(store, (item, events))
    assert [v.version for v in await store.history.versions(events[0].id)] == [1, 2]
    assert (await store.expire(NOW, NOW)).versions == 0
    assert (await store.expire(_LATER, _LATER)).versions == 2
    assert await store.history.versions(events[0].id) == []


async def test_a_full_disk_is_not_filled_by_versions(store_url: str) -> None:
    store = await Store.open(store_url, reserve_bytes=2**62)
    if store.free_bytes() is None:
        await store.close()
        return  # the disk of PostgreSQL is not ours to see
    with pytest.raises(StoreFull):
        await store.history.amend([], "new", NOW)
    await store.close()
