"""The delivery worker against real receivers."""

import asyncio
import dataclasses
import logging
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from bouncer import __version__
from bouncer.metrics import Metrics
from bouncer.records import DeliveryState
from bouncer.webhooks import deliver
from tests.webhooks.outbox import BODY, MemoryOutbox, delivery
from tests.webhooks.receiver import SECRET, receiving, talking
from tests.webhooks.running import SOON, delivering, endpoint

HOUR = timedelta(hours=1)


async def test_a_delivery_is_the_stored_bytes_signed_as_standard_webhooks_says() -> None:
    body = '{"type": "webhook.test",  "data": {"endpoint": "öps \\u00e9"}}'
    outbox = MemoryOutbox(delivery(body=body))
    async with receiving() as receiver, delivering(outbox, endpoint(receiver.url)) as counted:
        (done,) = await outbox.finished()
    (request,) = receiver.requests
    assert request.body == body.encode()
    assert request.verified()["type"] == "webhook.test"
    assert request.headers["webhook-id"] == done.message_id
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"] == f"bouncer/{__version__}"
    assert done.state is DeliveryState.DELIVERED
    assert (done.attempts, done.last_status, done.last_error) == (1, 200, None)
    assert done.finished_at is not None
    assert counted["delivered"] == 1


async def test_a_failing_receiver_is_tried_again_with_the_same_id_and_a_fresh_timestamp() -> None:
    start = datetime.now(UTC)
    seconds = iter(range(100))

    def clock() -> datetime:
        return start + timedelta(seconds=next(seconds))

    outbox = MemoryOutbox(delivery())
    async with (
        receiving(500, 404, 204) as receiver,
        delivering(outbox, endpoint(receiver.url), clock=clock) as counted,
    ):
        (done,) = await outbox.finished()
    assert receiver.ids == [done.message_id] * 3
    assert len({request.headers["webhook-timestamp"] for request in receiver.requests}) == 3
    for request in receiver.requests:
        request.verified()
    assert [d.last_error for d in outbox.history] == ["answered 500", "answered 404", None]
    assert done.attempts == 3
    assert counted["retried"] == 2
    assert counted["delivered"] == 1


async def test_when_the_schedule_is_used_up_the_delivery_has_failed() -> None:
    outbox = MemoryOutbox(delivery())
    async with (
        receiving(500) as receiver,
        delivering(outbox, endpoint(receiver.url, SOON[:2])) as counted,
    ):
        (done,) = await outbox.finished()
    assert done.state is DeliveryState.FAILED
    assert done.attempts == len(receiver.requests) == 3
    assert counted["failed"] == 1


async def test_410_ends_the_endpoint_for_this_run(caplog: pytest.LogCaptureFixture) -> None:
    outbox = MemoryOutbox(delivery(1))
    async with receiving(410) as receiver, delivering(outbox, endpoint(receiver.url)) as counted:
        await outbox.finished()
        outbox.add(delivery(2))
        first, second = await outbox.finished()
        assert len(receiver.requests) == 1
    assert first.state is second.state is DeliveryState.FAILED
    assert (first.attempts, second.attempts) == (1, 0)
    assert second.last_error is not None
    assert "410" in second.last_error
    assert counted["failed"] == 2
    assert any("410 Gone" in r.message for r in caplog.records if r.levelno == logging.WARNING)


async def test_another_run_tries_an_endpoint_that_was_gone() -> None:
    outbox = MemoryOutbox(delivery(1))
    async with receiving(410, 200) as receiver:
        async with delivering(outbox, endpoint(receiver.url)):
            await outbox.finished()
        outbox.add(delivery(2))
        async with delivering(outbox, endpoint(receiver.url)):
            await outbox.finished()
    assert [d.state for d in outbox.deliveries.values()] == ["failed", "delivered"]


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_waited_for(status: int) -> None:
    outbox = MemoryOutbox(delivery())
    busy = web.Response(status=status, headers={"Retry-After": "7200"})
    async with receiving(busy, 200) as receiver, delivering(outbox, endpoint(receiver.url)):
        (told,) = await outbox.results(1)
        assert told.state is DeliveryState.PENDING
        assert told.next_attempt_at - datetime.now(UTC) > HOUR
        outbox.make_due()
        await outbox.finished()
    assert len(receiver.requests) == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    async with receiving() as elsewhere:
        away = web.Response(status=status, headers={"Location": elsewhere.url})
        outbox = MemoryOutbox(delivery())
        async with receiving(away) as receiver, delivering(outbox, endpoint(receiver.url, ())):
            (done,) = await outbox.finished()
    assert elsewhere.requests == []
    assert len(receiver.requests) == 1
    assert done.last_error == f"answered {status}, and redirects are not followed"


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as proxy, receiving() as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        outbox = MemoryOutbox(delivery())
        async with delivering(outbox, endpoint(receiver.url)):
            await outbox.finished()
    assert len(receiver.requests) == 1
    assert proxy.requests == []


async def test_a_refused_connection_is_tried_again() -> None:
    async with receiving() as gone:
        url = gone.url
    outbox = MemoryOutbox(delivery())
    async with delivering(outbox, endpoint(url, (HOUR,))) as counted:
        (told,) = await outbox.results(1)
    assert told.state is DeliveryState.PENDING
    assert told.last_error is not None
    assert told.last_error.startswith("no connection")
    assert counted["retried"] == 1


async def test_a_connection_reset_before_the_answer_is_complete_is_tried_again() -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")
        await writer.drain()
        writer.transport.abort()

    outbox = MemoryOutbox(delivery())
    async with talking(reset) as receiver, delivering(outbox, endpoint(receiver.url, SOON[:1])):
        (done,) = await outbox.finished()
    assert done.state is DeliveryState.FAILED
    assert done.attempts == receiver.connections == 2
    assert done.last_status is None


async def test_what_is_not_http_is_an_answer_like_another() -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mx.example.com ESMTP\r\n" * 3)
        await writer.drain()

    outbox = MemoryOutbox(delivery())
    async with talking(nonsense) as receiver, delivering(outbox, endpoint(receiver.url, ())):
        (done,) = await outbox.finished()
    assert done.last_error == "the answer is not HTTP"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\r\n\r\n",
        b"\x00\xff\x16\x03\x01" * 20,
        b"HTTP/1.1 999 Odd\r\n\r\n",
        b"HTTP/1.1 20 Short\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nxx",
        b"HTTP/1.1 500 No\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 500 No\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\nzzzz\r\n",
        b"HTTP/1.1 500 No\r\nContent-Type: \xff\xfe\r\n\r\n",
        b"HTTP/1.1 500 No\r\nSet-Cookie: \xff=;;;\r\n\r\n",
        b"HTTP/1.1 302 Away\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 Busy\r\nRetry-After: \xff\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 500 No\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(5000)) + b"\r\n",
    ],
    ids=range(15),
)
async def test_no_answer_stops_the_worker(answer: bytes) -> None:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    outbox = MemoryOutbox(delivery(1), delivery(2))
    async with talking(say) as receiver, delivering(outbox, endpoint(receiver.url, ())):
        done = await outbox.finished()
    assert [d.state for d in done] == [DeliveryState.FAILED] * 2
    assert all(d.last_error for d in done)


async def test_an_endless_header_is_bounded() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX: ")
        while True:
            writer.write(b"x" * 8192)
            await writer.drain()

    outbox = MemoryOutbox(delivery())
    async with talking(endless) as receiver, delivering(outbox, endpoint(receiver.url, ())):
        (done,) = await outbox.finished()
    assert done.last_error == "the answer is not HTTP"


async def test_continue_over_and_over_ends_with_the_timeout() -> None:
    async def loop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.001)

    outbox = MemoryOutbox(delivery())
    timeout = timedelta(seconds=0.3)
    async with (
        talking(loop) as receiver,
        delivering(outbox, endpoint(receiver.url, ()), timeout=timeout),
    ):
        (done,) = await outbox.finished()
    assert done.last_error == "no answer within 0.3 s"


async def test_an_answer_that_does_not_come_is_not_waited_for() -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    outbox = MemoryOutbox(delivery())
    timeout = timedelta(seconds=0.2)
    async with (
        talking(silence) as receiver,
        delivering(outbox, endpoint(receiver.url, ()), timeout=timeout),
    ):
        (done,) = await outbox.finished()
    assert done.last_error == "no answer within 0.2 s"


async def test_of_an_endless_body_little_is_read() -> None:
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    outbox = MemoryOutbox(delivery())
    async with talking(endless) as receiver, delivering(outbox, endpoint(receiver.url)):
        (done,) = await outbox.finished()
    assert done.state is DeliveryState.DELIVERED
    assert sent < 32 * 2**20  # the buffers of two sockets, far from 1 GiB


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9999\r\n\r\n",
    ],
)
async def test_the_status_counts_however_the_body_drips_or_breaks_off(head: bytes) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        for _ in range(3):
            writer.write(b"1\r\nx\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)
        writer.transport.abort()

    outbox = MemoryOutbox(delivery())
    async with talking(drip) as receiver, delivering(outbox, endpoint(receiver.url)):
        (done,) = await outbox.finished()
    assert done.state is DeliveryState.DELIVERED
    assert receiver.connections == 1


async def test_a_slow_endpoint_does_not_delay_another() -> None:
    release = asyncio.Event()
    arrived = 0

    async def hold(request: web.Request) -> web.Response:
        nonlocal arrived
        arrived += 1
        await release.wait()
        return web.Response()

    outbox = MemoryOutbox(
        *(delivery(n, "ops") for n in range(20)), *(delivery(n, "second") for n in range(20))
    )
    async with (
        receiving(hold) as slow,
        receiving() as healthy,
        delivering(outbox, endpoint(slow.url), endpoint(healthy.url)) as counted,
    ):
        results = await outbox.results(20)
        assert {result.endpoint for result in results} == {"second"}
        assert arrived == 4  # and no more of them are in flight at once
        release.set()
        await outbox.finished()
    assert counted.of("ops", "delivered") == counted.of("second", "delivered") == 20


async def test_what_was_in_flight_at_a_stop_is_sent_again_with_the_same_id() -> None:
    arrived = asyncio.Event()

    async def hold(request: web.Request) -> web.Response:
        arrived.set()
        await asyncio.Event().wait()
        return web.Response()

    outbox = MemoryOutbox(delivery())
    async with receiving(hold, 200) as receiver:
        async with delivering(outbox, endpoint(receiver.url)):
            async with asyncio.timeout(10):
                await arrived.wait()
        assert outbox.history == []
        outbox.release()
        async with delivering(outbox, endpoint(receiver.url)):
            (done,) = await outbox.finished()
    assert done.state is DeliveryState.DELIVERED
    assert receiver.ids == [done.message_id] * 2


async def test_a_retry_is_resumed_by_another_run() -> None:
    outbox = MemoryOutbox(delivery())
    async with receiving(500, 200) as receiver:
        async with delivering(outbox, endpoint(receiver.url, (HOUR,))):
            await outbox.results(1)
        outbox.make_due()
        async with delivering(outbox, endpoint(receiver.url, (HOUR,))):
            (done,) = await outbox.finished()
    assert done.attempts == 2
    assert receiver.ids == [done.message_id] * 2


async def test_a_store_that_is_away_is_waited_for_before_an_attempt() -> None:
    outbox = MemoryOutbox(delivery())
    outbox.away = True
    async with receiving() as receiver, delivering(outbox, endpoint(receiver.url)):
        await outbox.refusals(3)
        outbox.away = False
        await outbox.finished()
    assert len(receiver.requests) == 1


async def test_a_result_is_kept_until_the_store_is_back() -> None:
    outbox = MemoryOutbox(delivery())

    async def take_away(request: web.Request) -> web.Response:
        outbox.away = True
        return web.Response()

    async with receiving(take_away) as receiver, delivering(outbox, endpoint(receiver.url)):
        await outbox.refusals(6)
        outbox.away = False
        await outbox.finished()
    assert len(receiver.requests) == 1


async def test_deliveries_to_endpoints_that_are_not_configured_fail_unsent() -> None:
    stranger = delivery(2, "former")
    outbox = MemoryOutbox(delivery(1), stranger)
    async with receiving() as receiver, delivering(outbox, endpoint(receiver.url)):
        await outbox.results(1)
        outbox.add(delivery(3))
        await outbox.finished()
    assert outbox.deliveries[stranger.id].state is DeliveryState.FAILED
    assert len(receiver.requests) == 2


async def test_without_endpoints_the_worker_stays() -> None:
    outbox = MemoryOutbox(delivery())
    worker = asyncio.create_task(deliver.run(outbox, (), Metrics(CollectorRegistry())))
    done, _ = await asyncio.wait([worker], timeout=0.05)
    worker.cancel()
    assert not done
    assert outbox.history == []


async def test_a_thousand_deliveries_arrive_once_each() -> None:
    outbox = MemoryOutbox(*(delivery(n) for n in range(1000)))
    async with receiving() as receiver, delivering(outbox, endpoint(receiver.url)):
        await outbox.finished()
    assert sorted(receiver.ids) == sorted(d.message_id for d in outbox.deliveries.values())


async def test_secret_and_url_are_in_no_log_and_no_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"nonsense\r\n\r\n")
        await writer.drain()

    outbox = MemoryOutbox(delivery(1), delivery(2, "second"))
    async with talking(nonsense) as raw, receiving(410) as receiver:
        endpoints = [endpoint(f"{r.url}?token=geheim", ()) for r in (raw, receiver)]
        async with delivering(outbox, *endpoints):
            done = await outbox.finished()
    told = caplog.text + repr(done) + repr(endpoints[0].secret)
    assert SECRET[6:] not in told
    assert "geheim" not in told
    assert BODY not in caplog.text


async def test_a_delivery_keeps_its_other_fields() -> None:
    item = delivery()
    outbox = MemoryOutbox(item)
    async with receiving() as receiver, delivering(outbox, endpoint(receiver.url)):
        (done,) = await outbox.finished()
    changed = {"state", "attempts", "last_status", "finished_at"}
    for field in dataclasses.fields(item):
        if field.name not in changed:
            assert getattr(done, field.name) == getattr(item, field.name)
