"""What zones say of targets, told once by whoever sees it first."""

import asyncio
from dataclasses import replace

import pytest

from bouncer.events import DnsblDelisted, DnsblListed, ListingState
from bouncer.store.store import Store
from tests.store.samples import EVERYTHING, LEASE, NOW, listing


async def test_a_listing_comes_back_as_it_was(store: Store) -> None:
    seen = replace(listing(), text="see \ud800\0", codes=("127.0.0.2", "127.0.0.4"))
    assert await store.listings.record(seen, None, None)
    expected = replace(seen, text="see \N{REPLACEMENT CHARACTER}")
    assert await store.listings.all() == [expected]


async def test_of_several_who_see_it_one_tells(store_url: str) -> None:
    store = await Store.open(store_url, EVERYTHING)
    seen = listing()
    message = DnsblListed(timestamp=NOW, data=seen.change())
    told = await asyncio.gather(*(store.listings.record(seen, None, message) for _ in range(5)))
    assert sorted(told) == [False] * 4 + [True]
    gone = replace(seen, state=ListingState.CLEAR, delisted_at=NOW + LEASE)
    delisted = DnsblDelisted(timestamp=NOW, data=gone.change())
    told = await asyncio.gather(*(store.listings.record(gone, seen, delisted) for _ in range(5)))
    assert sorted(told) == [False] * 4 + [True]
    due = await store.outbox.due("ops", 9, NOW, LEASE)
    assert sorted(each.type for each in due) == ["dnsbl.delisted", "dnsbl.listed"]
    assert await store.listings.all() == [gone]
    await store.close()


async def test_an_episode_that_has_moved_on_is_not_overwritten(store: Store) -> None:
    first = listing()
    await store.listings.record(first, None, None)
    second = listing(episode=2, at=NOW + LEASE)
    assert await store.listings.record(second, first, None)
    assert not await store.listings.record(replace(first, checked_at=NOW + 2 * LEASE), first, None)
    assert await store.listings.all() == [second]


async def test_listings_are_found_by_target_zone_and_state(store: Store) -> None:
    clear = listing("192.0.2.12", state=ListingState.CLEAR)
    for seen in (listing("192.0.2.11"), clear, listing("192.0.2.13")):
        await store.listings.record(seen, None, None)
    first = await store.listings.find(2)
    rest = await store.listings.find(2, first.next)
    targets = [found.target for found in first.items + rest.items]
    assert targets == ["192.0.2.11", "192.0.2.12", "192.0.2.13"]
    assert rest.next is None
    assert (await store.listings.find(9, state=ListingState.CLEAR)).items == [clear]
    assert (await store.listings.find(9, target="192.0.2.12")).items == [clear]
    assert (await store.listings.find(9, zone="other.example")).items == []
    with pytest.raises(ValueError, match="cursor"):
        await store.listings.find(9, "?")
