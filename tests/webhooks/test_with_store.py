"""The worker and the real store: what is owed is delivered across stops and kills."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta

import pytest
from aiohttp import web

from bouncer.clock import now
from bouncer.events import Message, WebhookTest
from bouncer.records import Delivery, DeliveryState, Subscriber
from bouncer.store.store import Store
from tests.webhooks.receiver import receiving
from tests.webhooks.running import SOON, delivering, endpoint

HOUR = timedelta(hours=1)
SUBSCRIBERS = (Subscriber("ops", ("*",)),)


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(store_url, SUBSCRIBERS)
    yield opened
    await opened.close()


def when_claims_have_run_out() -> datetime:
    return now() + HOUR


async def owe(store: Store, count: int) -> None:
    message = Message(type="webhook.test", timestamp=now(), data=WebhookTest(endpoint="ops"))
    await asyncio.gather(*(store.outbox.add(message, str(number)) for number in range(count)))


async def stored(store: Store) -> list[Delivery]:
    return (await store.outbox.find(1000)).items


async def until(reached: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await reached():  # noqa: ASYNC110 - a short poll
            await asyncio.sleep(0.01)


def all_in(store: Store, *states: DeliveryState) -> Callable[[], Awaitable[bool]]:
    async def reached() -> bool:
        return all(found.state in states for found in await stored(store))

    return reached


async def test_what_is_owed_is_delivered_and_stored_as_delivered(store: Store) -> None:
    async with receiving(500, 200) as receiver, delivering(store.outbox, endpoint(receiver.url)):
        await owe(store, 3)
        await until(all_in(store, DeliveryState.DELIVERED))
    for request in receiver.requests:
        assert request.verified()["data"] == {"endpoint": "ops"}
    assert sorted(found.attempts for found in await stored(store)) == [1, 1, 2]
    assert await store.outbox.pending() == {}


async def test_after_a_restart_the_interrupted_one_is_sent_again_with_its_id(
    store_url: str,
) -> None:
    arrived = asyncio.Event()

    async def hold(request: web.Request) -> web.Response:
        arrived.set()
        await asyncio.Event().wait()
        return web.Response()

    async with receiving(hold, 200) as receiver:
        first = await Store.open(store_url, SUBSCRIBERS)
        await owe(first, 1)
        async with delivering(first.outbox, endpoint(receiver.url)), asyncio.timeout(10):
            await arrived.wait()
        await first.close()
        second = await Store.open(store_url, SUBSCRIBERS)
        async with delivering(
            second.outbox, endpoint(receiver.url), clock=when_claims_have_run_out
        ):
            await until(all_in(second, DeliveryState.DELIVERED))
        (done,) = await stored(second)
        await second.close()
    assert receiver.ids == [done.message_id] * 2


async def test_a_failed_delivery_is_delivered_when_somebody_asks_for_another_try(
    store: Store,
) -> None:
    async with (
        receiving(500, 500, 200) as receiver,
        delivering(store.outbox, endpoint(receiver.url, SOON[:1])),
    ):
        await owe(store, 1)
        await until(all_in(store, DeliveryState.FAILED))
        (failed,) = await stored(store)
        assert await store.outbox.retry(failed.id, now())
        await until(all_in(store, DeliveryState.DELIVERED))
    assert receiver.ids == [failed.message_id] * 3


async def test_what_is_owed_to_endpoints_that_are_gone_fails_and_is_told_once_for_each(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    await owe(store, 501)
    for old in ("old", "old", "older"):
        message = Message(type="webhook.test", timestamp=now(), data=WebhookTest(endpoint=old))
        await store.outbox.add(message, f"{old} {now()}", old)
    async with delivering(store.outbox):  # no endpoint at all
        await until(all_in(store, DeliveryState.FAILED))
        await until(lambda: _true(caplog.text.count("is not configured any more") == 3))
    assert {found.last_error for found in await stored(store)} == {"the endpoint is gone"}
    assert all(found.finished_at for found in await stored(store))
    assert "ops is not configured any more: 501 deliveries" in caplog.text
    assert "old is not configured any more: 2 deliveries" in caplog.text


async def _true(value: bool) -> bool:
    return value


async def test_what_is_owed_to_a_configured_endpoint_is_not_given_up(store: Store) -> None:
    await owe(store, 2)
    assert await store.outbox.abandon(["other", "ops"], "gone", 10, now()) == {}
    assert await store.outbox.abandon(["other"], "gone", 1, now()) == {"ops": 1}
    assert (await store.outbox.pending())["ops"].count == 1


async def test_nothing_is_lost_when_the_sender_is_killed_again_and_again(store_url: str) -> None:
    count = 150
    store = await Store.open(store_url, SUBSCRIBERS)
    await owe(store, count)
    owed = {found.message_id for found in await stored(store)}
    await store.close()
    async with receiving() as receiver:
        for part in (1, 2):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.webhooks.sender", store_url, receiver.url
            )
            async with asyncio.timeout(60):
                while len(set(receiver.ids)) < count * part // 3:  # noqa: ASYNC110 - a short poll
                    await asyncio.sleep(0.001)
            process.kill()
            await process.wait()
    store = await Store.open(store_url, SUBSCRIBERS)
    async with (
        receiving() as last,
        delivering(store.outbox, endpoint(last.url), clock=when_claims_have_run_out),
    ):
        await until(all_in(store, DeliveryState.DELIVERED))
    await store.close()
    assert set(receiver.ids) | set(last.ids) == owed
    assert len(receiver.ids) + len(last.ids) <= count + 2 * 4 * 2  # those in flight at each kill
