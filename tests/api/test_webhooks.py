"""Webhook deliveries, seen and tried again."""

from datetime import timedelta

from bouncer import events
from tests.api.running import Api, problem

URL = "/v1/webhooks/deliveries"


async def _add(api: Api, cause: str) -> None:
    message = events.TestMessage(timestamp=api.clock(), data=events.WebhookTest(endpoint="ops"))
    await api.store.outbox.add(message, cause, endpoint="ops")


async def test_a_delivery_says_how_far_it_is(api: Api) -> None:
    await _add(api, "1")
    (item,) = (await api.http.get(URL)).json()["items"]
    assert item["id"] == f"{item['message_id']}.ops"
    assert (item["endpoint"], item["type"], item["state"]) == ("ops", "webhook.test", "pending")
    assert (item["attempts"], item["last_status"], item["finished_at"]) == (0, None, None)
    assert item["next_attempt_at"] == item["created_at"] == "2026-03-01T12:00:00Z"


async def test_deliveries_are_filtered_and_paged(api: Api) -> None:
    for n in range(3):
        await _add(api, str(n))
    page = (await api.http.get(URL, params={"limit": 2, "state": "pending"})).json()
    assert len(page["items"]) == 2
    rest = await api.http.get(URL, params={"limit": 2, "cursor": page["next"]})
    assert len(rest.json()["items"]) == 1
    assert (await api.http.get(URL, params={"endpoint": "other"})).json()["items"] == []
    assert (await api.http.get(URL, params={"state": "failed"})).json()["items"] == []
    problem(await api.http.get(URL, params={"state": "lost"}), 422)


async def test_a_delivery_is_tried_again_now(api: Api) -> None:
    await _add(api, "1")
    (item,) = (await api.http.get(URL)).json()["items"]
    api.clock.advance(timedelta(hours=1))
    answer = await api.http.post(f"{URL}/{item['id']}/retry")
    assert answer.status_code == 202
    assert answer.json() == {"id": item["id"], "next_attempt_at": "2026-03-01T13:00:00Z"}
    problem(await api.http.post(f"{URL}/msg_nothing.ops/retry"), 404)
    problem(await api.http.post(f"{URL}/%00/retry"), 422)
