"""Blocklists: what is listed, since when, how to get off."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bouncer.events import ListingState, Severity
from bouncer.records import Listing
from tests.api.running import Api, problem

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LISTED = Listing(
    target="192.0.2.10",
    range="192.0.2.0/28",
    zone="list.example.org",
    state=ListingState.LISTED,
    codes=("127.0.0.2", "127.0.0.4"),
    meaning="spam source",
    severity=Severity.MAJOR,
    text="see the lookup page",
    lookup_url="https://list.example.org/lookup/192.0.2.10",
    first_seen=NOON - timedelta(days=2),
    last_seen=NOON,
    checked_at=NOON,
    episode=1,
)
DELISTED = replace(
    LISTED, target="2001:db8::25", state=ListingState.CLEAR, range=None, delisted_at=NOON
)
NEVER = replace(
    LISTED,
    target="example.com",
    state=ListingState.CLEAR,
    codes=(),
    first_seen=None,
    last_seen=None,
    episode=0,
)


async def _record(api: Api, *listings: Listing) -> None:
    for listing in listings:
        assert await api.store.listings.record(listing, None, None)


async def _targets(api: Api, **query: Any) -> list[str]:
    found: list[str] = []
    while True:
        page = (await api.http.get("/v1/dnsbl/listings", params=query)).json()
        found += [item["target"] for item in page["items"]]
        if page["next"] is None:
            return sorted(found)
        query["cursor"] = page["next"]


async def test_a_listing_says_what_since_when_and_how_to_get_off(api: Api) -> None:
    await _record(api, LISTED)
    (item,) = (await api.http.get("/v1/dnsbl/listings")).json()["items"]
    assert item == {
        "target": "192.0.2.10",
        "range": "192.0.2.0/28",
        "zone": "list.example.org",
        "codes": ["127.0.0.2", "127.0.0.4"],
        "meaning": "spam source",
        "severity": "major",
        "text": "see the lookup page",
        "lookup_url": "https://list.example.org/lookup/192.0.2.10",
        "first_seen": "2026-02-27T12:00:00Z",
        "last_seen": "2026-03-01T12:00:00Z",
        "delisted_at": None,
        "state": "listed",
    }


async def test_what_was_never_listed_is_no_listing(api: Api) -> None:
    await _record(api, NEVER, LISTED, DELISTED)
    assert await _targets(api) == ["192.0.2.10", "2001:db8::25"]
    assert await _targets(api, limit=1) == ["192.0.2.10", "2001:db8::25"]
    assert await _targets(api, state="listed") == ["192.0.2.10"]
    assert await _targets(api, state="clear") == ["2001:db8::25"]
    assert await _targets(api, state="unknown") == []
    assert await _targets(api, target="2001:DB8:0::25") == ["2001:db8::25"]
    assert await _targets(api, zone="LIST.example.org") == ["192.0.2.10", "2001:db8::25"]
    assert await _targets(api, zone="other.example.org") == []


async def test_after_three_intervals_without_an_answer_nothing_is_known(api: Api) -> None:
    await _record(api, LISTED)
    api.clock.advance(timedelta(hours=3, seconds=1))
    assert await _targets(api, state="listed") == []
    assert await _targets(api, state="unknown") == ["192.0.2.10"]


async def test_a_check_answers_for_each_target_and_zone(api: Api) -> None:
    answer = await api.http.post("/v1/dnsbl/check", json={"targets": ["192.0.2.1", "example.com"]})
    assert answer.status_code == 200
    assert [item["target"] for item in answer.json()["items"]] == ["192.0.2.1", "example.com"]
    assert answer.json()["items"][0]["state"] == "listed"


async def test_one_check_runs_at_a_time(api: Api) -> None:
    asked = {"targets": ["192.0.2.1"]}
    first, second = await asyncio.gather(
        api.http.post("/v1/dnsbl/check", json=asked), api.http.post("/v1/dnsbl/check", json=asked)
    )
    assert sorted([first.status_code, second.status_code]) == [200, 503]


@pytest.mark.parametrize(
    "body", [{}, {"targets": []}, {"targets": ["a"] * 33}, {"targets": ["not a target"]}, []]
)
async def test_a_check_of_nothing_or_of_too_much_is_refused(api: Api, body: object) -> None:
    problem(await api.http.post("/v1/dnsbl/check", json=body), 422)
