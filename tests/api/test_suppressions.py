"""Suppressions: is this address to be skipped?"""

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.api.running import Api, problem

ADDRESS = "user@example.net"
URL = f"/v1/suppressions/{ADDRESS}"
ODD = [
    "User+tag@Example.net",
    "a/b/../c@example.net",
    "100%25@example.net",
    '"a b"@example.net',
    "o'neill@example.net",
    "\u00fcser@b\u00fccher.example",
    "?x=1#y@example.net",
    "check@example.net",
]


def _url(address: str) -> str:
    return f"/v1/suppressions/{quote(address, safe='')}"


async def _put(api: Api, address: str = ADDRESS, **fields: Any) -> dict[str, Any]:
    answer = await api.http.put(_url(address), json=fields)
    assert answer.status_code in (200, 201), answer.text
    entry: dict[str, Any] = answer.json()
    return entry


async def test_an_address_that_may_be_mailed_is_not_found(api: Api) -> None:
    problem(await api.http.get(URL), 404)


async def test_an_empty_put_suppresses_by_hand_for_every_domain_and_for_good(api: Api) -> None:
    answer = await api.http.put(URL, json={})
    assert answer.status_code == 201
    entry: dict[str, object] = {
        "address": ADDRESS,
        "sending_domain": None,
        "reason": "manual",
        "source": "api",
        "since": "2026-03-01T12:00:00Z",
        "until": None,
        "events": [],
    }
    assert answer.json() == entry
    assert (await api.http.get(URL)).json() == {**entry, "entries": [entry]}
    assert (await api.http.put(URL, json={})).status_code == 200


@pytest.mark.parametrize("address", ODD)
async def test_odd_addresses_go_in_and_come_out_in_any_case(api: Api, address: str) -> None:
    await _put(api, address)
    for asked in (address, address.upper(), address.lower()):
        answer = await api.http.get(_url(asked))
        assert answer.status_code == 200, asked
        assert answer.json()["address"] == address.lower()
    assert (await api.http.delete(_url(address.upper()))).status_code == 204
    problem(await api.http.get(_url(address)), 404)


async def test_one_domain_is_asked_for_or_the_widest_entry_answers(api: Api) -> None:
    await _put(api, sending_domain="Example.com", reason="hard_bounce")
    problem(await api.http.get(URL, params={"sending_domain": "example.org"}), 404)
    one = (await api.http.get(URL, params={"sending_domain": "EXAMPLE.com"})).json()
    assert (one["sending_domain"], one["reason"]) == ("example.com", "hard_bounce")

    await _put(api, sending_domain=None, reason="complaint")
    widest = (await api.http.get(URL)).json()
    assert (widest["sending_domain"], widest["reason"]) == (None, "complaint")
    assert [e["sending_domain"] for e in widest["entries"]] == [None, "example.com"]
    other = (await api.http.get(URL, params={"sending_domain": "example.org"})).json()
    assert [e["reason"] for e in other["entries"]] == ["complaint"]


async def test_an_entry_ends_when_its_time_has_come(api: Api) -> None:
    entry = await _put(api, until="2026-03-02T13:00:00+01:00")
    assert entry["until"] == "2026-03-02T12:00:00Z"
    api.clock.advance(timedelta(days=1, seconds=-1))
    assert (await api.http.get(URL)).status_code == 200
    api.clock.advance(timedelta(seconds=2))
    problem(await api.http.get(URL), 404)


async def test_deleting_takes_one_domain_or_all(api: Api) -> None:
    for domain in (None, "example.com", "example.org"):
        await _put(api, sending_domain=domain)
    assert (await api.http.delete(f"{URL}?sending_domain=example.com")).status_code == 204
    problem(await api.http.delete(f"{URL}?sending_domain=example.com"), 404)
    entries = (await api.http.get(URL)).json()["entries"]
    assert [e["sending_domain"] for e in entries] == [None, "example.org"]
    assert (await api.http.delete(URL)).status_code == 204
    problem(await api.http.get(URL), 404)
    problem(await api.http.delete(URL), 404)


async def test_a_post_adds_one(api: Api) -> None:
    new = {"address": "New@example.net", "reason": "unsubscribe", "sending_domain": "example.com"}
    answer = await api.http.post("/v1/suppressions", json=new)
    assert answer.status_code == 201
    assert answer.json()["address"] == "new@example.net"
    assert answer.json()["reason"] == "unsubscribe"
    assert (await api.http.post("/v1/suppressions", json=new)).status_code == 200


async def test_a_check_names_those_to_be_skipped(api: Api) -> None:
    await _put(api, "all@example.net")
    await _put(api, "one@example.net", sending_domain="example.com", reason="hard_bounce")
    asked = ["ALL@example.net", "one@example.net", "free@example.net", "all@example.net", "odd"]

    async def check(domain: str | None) -> list[tuple[str, str | None]]:
        body = {"addresses": asked, "sending_domain": domain}
        answer = (await api.http.post("/v1/suppressions/check", json=body)).json()
        return sorted((s["address"], s["sending_domain"]) for s in answer["suppressed"])

    everyone = [("all@example.net", None), ("one@example.net", "example.com")]
    assert await check(None) == everyone
    assert await check("example.com") == everyone
    assert await check("example.org") == everyone[:1]
    assert (await api.http.post("/v1/suppressions/check", json={"addresses": []})).json() == {
        "suppressed": []
    }


async def test_the_list_is_paged_and_filtered(api: Api) -> None:
    for n in range(5):
        await _put(api, f"u{n}@example.net", sending_domain="example.com" if n % 2 else None)
    await _put(api, "c@example.net", reason="complaint")

    async def listed(**query: str | int) -> list[str]:
        found: list[str] = []
        cursor: str | None = None
        while True:
            params = {**query, **({"cursor": cursor} if cursor else {})}
            page = (await api.http.get("/v1/suppressions", params=params)).json()
            found += [item["address"] for item in page["items"]]
            if (cursor := page["next"]) is None:
                return sorted(found)

    assert await listed(limit=2) == ["c@example.net", *(f"u{n}@example.net" for n in range(5))]
    assert await listed(reason="complaint") == ["c@example.net"]
    assert await listed(sending_domain="example.com") == ["u1@example.net", "u3@example.net"]


NOT_ENTRIES = [
    b"",
    b"[]",
    b"null",
    b"{",
    b"NaN",
    b"1e400",
    b"[" * 10_000,
    b'{"reason": "because"}',
    b'{"until": 1e400}',
    b'{"until": 1772366400}',
    b'{"until": "2026-04-01"}',
    b'{"until": "2026-04-01T00:00:00"}',
    b'{"until": "2020-01-01T00:00:00Z"}',
    b'{"sending_domain": "no domain"}',
    b'{"sending_domain": "\\u0000.example"}',
    b'{"sending_domain": 7}',
    b'{"untill": "2026-04-01T00:00:00Z"}',
    b'{"\\ud800": 1}',
    b"\xff",
]


async def test_an_entry_that_cannot_be_meant_is_refused(api: Api) -> None:
    for body in NOT_ENTRIES:
        answer: httpx.Response = await api.http.put(
            URL, content=body, headers={"Content-Type": "application/json"}
        )
        assert 400 <= answer.status_code < 500
        problem(answer, answer.status_code)
        problem(await api.http.get(URL), 404)


@pytest.mark.parametrize("address", ["nobody", "@example.net", "user@", "a%00b@example.net"])
async def test_what_is_no_address_is_not_suppressed(api: Api, address: str) -> None:
    problem(await api.http.put(f"/v1/suppressions/{address}", json={}), 422)


async def test_no_more_than_a_thousand_are_checked_at_once(api: Api) -> None:
    body = {"addresses": [ADDRESS] * 1001}
    problem(await api.http.post("/v1/suppressions/check", json=body), 422)
