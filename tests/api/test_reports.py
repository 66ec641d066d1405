"""Reports by HTTP: stored before the 202, and once."""

import json
from datetime import timedelta
from typing import Any

import pytest

from bouncer.events import Source
from bouncer.records import InboxItem, MediaType
from tests.api.running import Api, problem

MAIL = {"Content-Type": "message/rfc822"}


def _reply(**fields: Any) -> dict[str, Any]:
    return {"recipient": "user@example.net", "smtp_reply": "550 5.1.1 no such user"} | fields


async def _inbox(api: Api) -> list[InboxItem]:
    return await api.store.inbox.claim(100, 10**9, timedelta(minutes=1), api.clock())


async def test_a_message_is_kept_as_it_is_under_the_id_that_is_answered(api: Api) -> None:
    octets = b"Subject: \xff\0\r\n\r\nlone\nlines.\r\n.\r\n"
    answer = await api.http.post(
        "/v1/reports?recipient=b%2B1@bounces.example.com", content=octets, headers=MAIL
    )
    assert answer.status_code == 202, answer.text
    (item,) = await _inbox(api)
    assert answer.json() == {"id": item.id}
    assert item.octets == octets
    assert (item.source, item.media_type) == (Source.API, MediaType.MAIL)
    assert (item.recipient, item.sender) == ("b+1@bounces.example.com", "")


async def test_the_same_message_again_is_one_item_and_one_id(api: Api) -> None:
    first = await api.http.post("/v1/reports", content=b"Subject: x\r\n\r\n", headers=MAIL)
    again = await api.http.post("/v1/reports", content=b"Subject: x\r\n\r\n", headers=MAIL)
    assert first.json() == again.json()
    assert len(await _inbox(api)) == 1
    assert (api.received("api"), api.received("duplicate")) == (1, 1)


async def test_smtp_replies_are_one_item_each(api: Api) -> None:
    replies = [
        _reply(),
        _reply(recipient="\u00e9@example.net", occurred_at="2026-02-01T01:00:00+01:00"),
    ]
    answer = await api.http.post("/v1/reports", json={"reports": replies})
    assert answer.status_code == 202, answer.text
    items = {item.id: item for item in await _inbox(api)}
    assert sorted(items) == sorted(answer.json()["ids"])
    kept = [items[id_] for id_ in answer.json()["ids"]]
    assert {item.media_type for item in kept} == {MediaType.SMTP_REPLY}
    assert {item.recipient for item in kept} == {""}
    bodies = [json.loads(item.octets) for item in kept]
    assert bodies[0] == replies[0]
    assert bodies[1]["recipient"] == "\u00e9@example.net"
    assert b": " not in kept[0].octets.partition(b"smtp_reply")[0]


async def test_the_same_reply_twice_is_one_item(api: Api) -> None:
    reply = _reply(occurred_at="2026-02-01T00:00:00Z")
    both = await api.http.post("/v1/reports", json={"reports": [reply, reply]})
    again = await api.http.post("/v1/reports", json={"reports": [reply]})
    assert len({*both.json()["ids"], *again.json()["ids"]}) == 1
    assert len(await _inbox(api)) == 1
    assert (api.received("api"), api.received("duplicate")) == (1, 2)


async def test_a_reply_without_a_time_is_one_item_whenever_it_is_sent_again(api: Api) -> None:
    first = await api.http.post("/v1/reports", json={"reports": [_reply()]})
    api.clock.advance(timedelta(seconds=5))
    again = await api.http.post("/v1/reports", json={"reports": [_reply()]})
    assert first.json() == again.json()
    assert len(await _inbox(api)) == 1


@pytest.mark.parametrize("words", ["nonsense", "connection lost", "354 go on", "since 1999"])
async def test_words_that_are_no_smtp_reply_are_refused_by_the_name_of_the_field(
    api: Api, words: str
) -> None:
    answer = await api.http.post("/v1/reports", json={"reports": [_reply(smtp_reply=words)]})
    (fault,) = problem(answer, 422)["errors"]
    assert fault["where"].endswith("smtp_reply")
    assert await _inbox(api) == []


@pytest.mark.parametrize(
    "media_type", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
async def test_another_media_type_is_refused(api: Api, media_type: str) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    problem(await api.http.post("/v1/reports", content=b"x", headers=headers), 415)


NOT_REPLIES = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"{}",
    b'{"reports": []}',
    b'{"reports": {}}',
    b'{"reports": [1e400]}',
    b'{"reports": [NaN]}',
    b'{"reports": [{"recipient": "a@example.com"}]}',
    b'{"reports": [{"smtp_reply": "550 no"}]}',
    b'{"reports": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    b'{"\\ud800": 1}',
    b'{"reports": [{"recipient": "a@example.com", "smtp_reply": "\\ud800"}]}',
    b'{"reports": [{"recipient": "a\\u0000@example.com", "smtp_reply": "550 no"}]}',
    b'{"reports": [{"recipient": "a@example.com", "smtp_reply": "550", "occurred_at": 1e400}]}',
    b'{"reports": [{"recipient": "a@example.com", "smtp_reply": "550 n", "occurred_at": "x"}]}',
    b'{"reports": [{"recipient": "a@example.com", "smtp_reply": "5", "occurred_at": 1772366400}]}',
    b"\xff\xfe",
]


async def test_json_that_holds_no_replies_is_refused(api: Api) -> None:
    for body in NOT_REPLIES:
        answer = await api.http.post(
            "/v1/reports", content=body, headers={"Content-Type": "application/json"}
        )
        document = problem(answer, 422)
        assert document["errors"][0]["where"].startswith("body")
        assert await _inbox(api) == []


async def test_too_many_replies_at_once_are_refused(api: Api) -> None:
    answer = await api.http.post("/v1/reports", json={"reports": [_reply()] * 1001})
    problem(answer, 422)


async def test_an_empty_message_is_refused(api: Api) -> None:
    problem(await api.http.post("/v1/reports", content=b"", headers=MAIL), 422)


async def test_a_message_may_be_as_large_as_by_smtp_and_not_larger(api: Api) -> None:
    limit = 26_214_400
    too_large = b"x" * (limit + 1)
    problem(await api.http.post("/v1/reports", content=too_large, headers=MAIL), 413)
    ten = await api.http.post("/v1/reports", content=too_large[: 10 * 2**20], headers=MAIL)
    assert ten.status_code == 202
    (item,) = await _inbox(api)
    assert len(item.octets) == 10 * 2**20
