"""Events, found again by what they say."""

from datetime import datetime, timedelta

import pytest

from bouncer.classify.category import BounceClass, Category
from bouncer.events import Event
from bouncer.records import Finished
from bouncer.reports.report import Kind
from bouncer.store.events import EventFilter
from bouncer.store.store import Store
from tests.store.samples import NOW, claimed, event, received

_MINUTE = timedelta(minutes=1)


async def _store_events(store: Store, *events: Event) -> None:
    await store.inbox.receive([received(repr(events).encode("utf-8", "replace"))])
    [item] = await claimed(store)
    await store.inbox.finish(Finished(item, events, ()), NOW)


async def test_an_event_comes_back_as_it_was(store: Store) -> None:
    made = event("a", at=NOW).model_copy(
        update={
            "arrival_date": datetime.fromisoformat("9999-12-31T23:59:59-08:00"),
            "defects": ("no boundary",),
            "recipient": "Ünïcode@例え.jp",
        }
    )
    await _store_events(store, made)
    assert await store.events.get("a") == made
    assert await store.events.get("b") is None
    assert await store.events.get("b\0\ud800") is None


async def test_nul_and_surrogates_do_not_keep_an_event_out(store: Store) -> None:
    dirty = event("a", "x\0y\udc80@example.org", diagnostic="550 \ud800\0 no").model_copy(
        update={"defects": ("\0bad \udfff",)}
    )
    await _store_events(store, dirty, event("b", diagnostic="a literal \\u0000 stays"))
    found = await store.events.get("a")
    assert found is not None
    assert found.recipient == "xy\N{REPLACEMENT CHARACTER}@example.org"
    assert found.diagnostic == "550 \N{REPLACEMENT CHARACTER} no"
    assert found.defects == ("bad \N{REPLACEMENT CHARACTER}",)
    assert found.model_dump_json()
    literal = await store.events.get("b")
    assert literal is not None
    assert literal.diagnostic == "a literal \\u0000 stays"


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (EventFilter(), "edcba"),
        (EventFilter(recipient="DEAD@example.ORG"), "cba"),
        (EventFilter(recipient="alias@example.org"), "b"),
        (EventFilter(recipient="nobody\0@example.org"), ""),
        (EventFilter(sending_domain="EXAMPLE.com"), "dcb"),
        (EventFilter(kind=Kind.COMPLAINT), "d"),
        (EventFilter(kind=Kind.BOUNCE, class_=BounceClass.SOFT), "c"),
        (EventFilter(category=Category.MAILBOX_FULL), "c"),
        (EventFilter(provider="google"), "e"),
        (EventFilter(since=NOW + _MINUTE), "edcb"),
        (EventFilter(until=NOW + _MINUTE), "a"),
        (EventFilter(since=NOW + _MINUTE, until=NOW + 3 * _MINUTE), "cb"),
    ],
)
async def test_filters_narrow_what_is_found(store: Store, wanted: EventFilter, ids: str) -> None:
    await _store_events(
        store,
        event("a", at=NOW, sending_domain=None),
        event("b", at=NOW + _MINUTE, original_recipient="Alias@example.org"),
        event(
            "c",
            at=NOW + 2 * _MINUTE,
            class_=BounceClass.SOFT,
            category=Category.MAILBOX_FULL,
            original_recipient="dead@example.org",
        ),
        event("d", None, at=NOW + 3 * _MINUTE, kind=Kind.COMPLAINT, class_=None, category=None),
        event("e", "x@gmail.com", at=NOW + 4 * _MINUTE, sending_domain="b.net", provider="google"),
    )
    page = await store.events.find(wanted, 100)
    assert "".join(found.id for found in page.items) == ids
    assert page.next is None


async def test_pages_hold_still_while_events_arrive(store: Store) -> None:
    await _store_events(store, *(event(f"old{n:02}", at=NOW) for n in range(25)))
    seen: list[str] = []
    cursor: str | None = None
    for turn in range(100):
        page = await store.events.find(EventFilter(), 4, cursor)
        seen += [found.id for found in page.items]
        cursor = page.next
        if cursor is None:
            break
        await _store_events(store, event(f"new{turn}", at=NOW + _MINUTE))
    assert seen == [f"old{n:02}" for n in reversed(range(25))]


async def test_a_full_last_page_has_nothing_after_it(store: Store) -> None:
    await _store_events(store, event("a"), event("b"))
    assert (await store.events.find(EventFilter(), 2)).next is None


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "é",
        "AAAA",
        "e30",
        "WzEsMl0",
        "WyJhIiwiYiJd",
        "W3RydWUsImEiXQ",
        "[" * 3000,
        "A" * 9999,
    ],
)
async def test_a_bad_cursor_is_a_value_error(store: Store, cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        await store.events.find(EventFilter(), 10, cursor)


async def test_a_page_of_nothing_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="at least one"):
        await store.events.find(EventFilter(), 0)
