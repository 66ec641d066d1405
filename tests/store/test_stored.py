"""Finished messages, found again page by page."""

from datetime import timedelta

import pytest

from bouncer.records import Finished, ItemState
from bouncer.store.store import Store
from tests.store.samples import NOW, claimed, many, received

_LATER = NOW + timedelta(days=1)


async def _finish(store: Store, state: ItemState = ItemState.DONE) -> None:
    for item in await claimed(store, now=_LATER):
        await store.inbox.finish(Finished(item, (), (), state), _LATER)


async def test_pages_hold_every_finished_message_once_the_oldest_first(store: Store) -> None:
    sent = many(10)
    await store.inbox.receive(sent)
    await _finish(store)
    found = []
    cursor = None
    while True:
        page = await store.stored.page(ItemState.DONE, None, _LATER, 3, 10**6, cursor)
        assert 1 <= len(page.items) <= 3
        found += page.items
        cursor = page.next
        if cursor is None:
            break
    assert [(i.id, i.octets, i.received_at) for i in found] == [
        (r.id, r.octets, r.received_at) for r in sent
    ]


async def test_a_page_is_limited_by_its_octets(store: Store) -> None:
    await store.inbox.receive(many(4))
    await _finish(store)
    sizes = []
    cursor = None
    for octets in (0, 20, 10**6):
        page = await store.stored.page(ItemState.DONE, None, _LATER, 9, octets, cursor)
        sizes.append(len(page.items))
        cursor = page.next
    assert (sizes, cursor) == ([1, 2, 1], None)


async def test_only_what_is_finished_kept_and_asked_for_is_there(store: Store) -> None:
    await store.inbox.receive([received(b"quarantined")])
    await _finish(store, ItemState.QUARANTINED)
    await store.inbox.receive([received(b"old", at=NOW - timedelta(days=9))])
    await store.inbox.receive(many(3))
    await _finish(store)
    await store.expire(NOW - timedelta(days=8), NOW - timedelta(days=99))
    await store.inbox.receive([received(b"human", human=True), received(b"waits")])
    done = await store.stored.page(ItemState.DONE, None, _LATER, 9, 10**6)
    assert [i.octets for i in done.items] == [b"report 0\r\n", b"report 1\r\n", b"report 2\r\n"]
    quarantined = await store.stored.page(ItemState.QUARANTINED, None, _LATER, 9, 10**6)
    assert [i.octets for i in quarantined.items] == [b"quarantined"]
    millisecond = timedelta(milliseconds=1)
    some = await store.stored.page(
        ItemState.DONE, NOW + millisecond, NOW + 2 * millisecond, 9, 10**6
    )
    assert [i.octets for i in some.items] == [b"report 1\r\n"]
    assert await store.stored.count([ItemState.DONE, ItemState.QUARANTINED], None, _LATER) == 5
    assert await store.stored.count([ItemState.DONE], NOW, _LATER) == 3


async def test_a_foreign_cursor_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="cursor"):
        await store.stored.page(ItemState.DONE, None, _LATER, 9, 10**6, "nonsense")
