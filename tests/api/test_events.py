"""Events: filters, pages, and the octets behind them."""

from datetime import timedelta

import pytest

from bouncer.classify.category import BounceClass, Category
from bouncer.events import Event
from bouncer.reports.report import Format, Kind
from tests.api.running import Api, problem


async def _three(api: Api) -> list[Event]:
    """The oldest first, an hour apart."""
    first = await api.event(b"1", sending_domain="example.com", provider="google")
    api.clock.advance(timedelta(hours=1))
    second = await api.event(
        b"2",
        kind=Kind.DELAY,
        **{"class": BounceClass.SOFT},
        category=Category.GREYLISTED,
        recipient="Other@example.net",
        sending_domain="example.org",
    )
    api.clock.advance(timedelta(hours=1))
    third = await api.event(
        b"3",
        kind=Kind.UNRECOGNISED,
        **{"class": None},
        category=None,
        recipient=None,
        original_recipient="o'neill+x@example.net",
        format=Format.UNRECOGNISED,
    )
    return [first, second, third]


FILTERS = [
    ("", [2, 1, 0]),
    ("recipient=USER@example.net", [0]),
    ("recipient=other@EXAMPLE.net", [1]),
    ("recipient=o'neill%2Bx@example.net", [2]),
    ("recipient=o'neill+x@example.net", [2]),
    ("sending_domain=EXAMPLE.org", [1]),
    ("kind=delay", [1]),
    ("class=hard", [0]),
    ("category=greylisted", [1]),
    ("provider=google", [0]),
    ("since=2026-03-01T13:00:00Z", [2, 1]),
    ("since=2026-03-01T14:00:00+01:00", [2, 1]),
    ("since=2026-03-01T14:00:00%2B01:00", [2, 1]),
    ("until=2026-03-01T13:00:00Z", [0]),
    ("since=2026-03-01T13:00Z&until=2026-03-01T14:00Z", [1]),
    ("kind=delay&class=hard", []),
    ("recipient=' OR 1=1--", []),
    ("provider=%25", []),
]


async def test_a_filter_finds_what_it_says(api: Api) -> None:
    events = await _three(api)
    for query, found in FILTERS:
        answer = await api.http.get(f"/v1/events?{query}")
        assert answer.status_code == 200, answer.text
        told = [item["id"] for item in answer.json()["items"]]
        assert told == [events[n].id for n in found], query
        assert answer.json()["next"] is None


async def test_pages_hold_every_event_once_and_newest_first(api: Api) -> None:
    ids = []
    for n in range(7):
        ids.append((await api.event(b"%d" % n)).id)
        api.clock.advance(timedelta(seconds=n % 2))  # some at the same time
    seen: list[str] = []
    cursor = None
    sizes = []
    while len(seen) < 20:
        query = {"limit": "3"} | ({"cursor": cursor} if cursor else {})
        page = (await api.http.get("/v1/events", params=query)).json()
        sizes.append(len(page["items"]))
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert sizes == [3, 3, 1]
    assert sorted(seen) == sorted(ids)
    assert seen[0] == ids[-1]


REFUSED = [
    "limit=0",
    "limit=1001",
    "limit=-1",
    "limit=1e400",
    "limit=x",
    "cursor=nonsense",
    "cursor=%00",
    "cursor='%20OR%201=1--",
    "kind=nothing",
    "class=medium",
    "category=none",
    "since=yesterday",
    "since=2026-03-01",
    "since=2026-03-01T12:00:00",
    "since=1772366400",
    "since=2026-02-30T12:00:00Z",
    "since=0001-01-01T00:00:00%2B23:59",
    "until=9999-12-31T23:59:59-23:59",
    "until=%00",
    "recipient=%00",
    "recipient=",
    "recipient=" + "x" * 2000,
    "sending_domain=no%20domain",
    "sending_domain=%00",
    "provider=%00",
    "recipent=a@example.com",
]


async def test_a_query_that_cannot_be_meant_is_refused_with_its_key(api: Api) -> None:
    for query in REFUSED:
        document = problem(await api.http.get(f"/v1/events?{query}"), 422)
        assert [e["where"] for e in document["errors"]] == [f"query.{query.partition('=')[0]}"]


async def test_one_event_is_told_in_the_words_of_the_contract(api: Api) -> None:
    event = await api.event(diagnostic='550 "no" <such> \u2028 user', defects=("cut_short",))
    told = (await api.http.get(f"/v1/events/{event.id}")).json()
    assert told["class"] == "hard"
    assert told["diagnostic"] == '550 "no" <such> \u2028 user'
    assert told["received_at"] == "2026-03-01T12:00:00Z"
    assert Event.model_validate(told) == event


@pytest.mark.parametrize("event", ["nothing", "%00", "..%2f..%2fetc", "' OR 1=1--", "\u00e9"])
async def test_an_event_that_is_not_there_is_not_found(api: Api, event: str) -> None:
    for path in (f"/v1/events/{event}", f"/v1/events/{event}/raw"):
        answer = await api.http.get(path)
        problem(answer, 422 if event == "%00" else 404)


async def test_the_message_comes_back_byte_for_byte(api: Api) -> None:
    octets = bytes(range(256)) * 3 + b"\r\n.\r\nlone\nlone\r\0end"
    event = await api.event(octets)
    answer = await api.http.get(f"/v1/events/{event.id}/raw")
    assert answer.content == octets
    assert answer.headers["content-type"] == "message/rfc822"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"].startswith("attachment;")


async def test_a_message_that_is_not_kept_any_more_is_gone(api: Api) -> None:
    event = await api.event()
    api.clock.advance(timedelta(days=31))
    await api.store.expire(api.clock() - timedelta(days=30), api.clock() - timedelta(days=365))
    problem(await api.http.get(f"/v1/events/{event.id}/raw"), 410)
    assert (await api.http.get(f"/v1/events/{event.id}")).status_code == 200
