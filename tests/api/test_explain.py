"""How an event was decided, read again by a reader process."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from bouncer.events import Source
from bouncer.reading import Arrival, unrecognised
from bouncer.records import Finished, ItemState, Received, digest_of
from tests.api.running import problem, running

EXAMPLE = (Path(__file__).parents[2] / "docs/examples/first-bounce.eml").read_bytes()
AT = datetime(2026, 3, 1, tzinfo=UTC)


async def test_an_event_is_explained_from_its_message(tmp_path: Path) -> None:
    async with running(tmp_path) as api:
        received = Received(Source.SMTP, "x@bounces.test", "", EXAMPLE, digest_of(EXAMPLE), AT)
        await api.store.inbox.receive([received])
        (item,) = await api.store.inbox.claim(1, 10**6, timedelta(minutes=1), AT)
        event = unrecognised(Arrival(item.id, item.recipient, item.source, AT), "old")
        await api.store.inbox.finish(Finished(item, (event,), ()), AT)

        answer = await api.http.get(f"/v1/events/{event.id}/explain")

        assert answer.status_code == 200, answer.text
        explained = answer.json()
        assert explained["readers"][-1] == "dsn.read"
        assert explained["ruleset"] != "old"
        (one,) = explained["events"]
        assert one["event"]["class"] == "hard"
        assert one["evidence"]["believed_status"] == "5.1.1"
        assert one["evidence"]["because"] == "the Status field and the server's words agree"
        assert [rule["decided"] for rule in one["rules"]][:1] == [True]
        assert one["rules"][0]["id"] == one["event"]["rule"]
        assert one["rules"][0]["source"]


async def test_a_quarantined_reply_is_handed_out_and_explained_as_one(tmp_path: Path) -> None:
    async with running(tmp_path) as api:
        reply = {"recipient": "user@example.net", "smtp_reply": "550 5.1.1 no such user"}
        answer = await api.http.post("/v1/reports", json={"reports": [reply]})
        assert answer.status_code == 202
        (item,) = await api.store.inbox.claim(1, 10**6, timedelta(minutes=1), AT)
        event = unrecognised(Arrival(item.id, item.recipient, item.source, AT), "old")
        done = Finished(item, (event,), (), ItemState.QUARANTINED)
        await api.store.inbox.finish(done, AT)

        raw = await api.http.get(f"/v1/events/{event.id}/raw")
        explained = (await api.http.get(f"/v1/events/{event.id}/explain")).json()

        assert raw.headers["content-type"] == "application/json"
        assert raw.json() == reply
        assert [one["event"]["recipient"] for one in explained["events"]] == ["user@example.net"]


async def test_what_is_not_there_cannot_be_explained(tmp_path: Path) -> None:
    async with running(tmp_path) as api:
        problem(await api.http.get("/v1/events/nothing-0/explain"), 404)
