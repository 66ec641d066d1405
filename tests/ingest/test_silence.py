"""What the door does not tell and does not touch before it has a message."""

import logging
import statistics
import time
from collections.abc import Sequence
from typing import NoReturn

import pytest

from bouncer.config import SmtpLimits
from bouncer.ingest.door import Door
from bouncer.metrics import Metrics
from bouncer.records import Received
from tests.ingest.client import Client
from tests.ingest.conftest import Opening
from tests.ingest.inbox import MemoryInbox
from tests.ingest.test_smtp import greeted, sample, sends

RELAYING = [
    "<u%evil.example@bounces.example>",
    "<evil.example!u@bounces.example>",
    '<"u@evil.example"@bounces.example>',
    "<@bounces.example:u@evil.example>",
    "<@bounces.example,@evil.example:u@bounces.example>",
    "<u@evil.example@bounces.example>",
    "<u@[127.0.0.1]>",
    "<u@[IPv6:::1]>",
    "<u@bounces.example.>",
    "<u@evil.example>",
    "<u@b\u00f6unces.example>",
    "<u@bounces.example>c",
    "<u@evil.bounces.example>",
    "<u@bounces.example\u3002evil.example>",
]


class Untouchable:
    """An inbox that is not to be asked anything."""

    async def receive(self, items: Sequence[Received]) -> NoReturn:
        raise AssertionError(items)

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(name)


async def told(client: Client, recipient: str) -> str:
    await client.ask("MAIL FROM:<>")
    reply = await client.ask(f"RCPT TO:<{recipient}>")
    await client.ask("RSET")
    return reply


async def test_no_reply_tells_whom_we_know(door: Opening) -> None:
    # The known ones have had mail, the unknown never.
    known, unknown = [[f"{kind}{n}@bounces.example" for n in range(200)] for kind in ("k", "u")]
    inbox = MemoryInbox()
    limits = SmtpLimits(idle_commands=100_000, messages=1000)
    async with door(inbox, limits=limits) as opened:
        client = await greeted(opened)
        for recipient in known:
            await sends(client, recipient)
        calls = inbox.calls
        replies, seconds = set[str](), dict[str, list[float]]({"k": [], "u": []})
        for pair in zip(known, unknown, strict=True):
            for recipient in pair:
                began = time.perf_counter()
                replies.add(await told(client, recipient))
                seconds[recipient[0]].append(time.perf_counter() - began)
        client.close()
        assert inbox.calls == calls
    assert len(replies) == 1
    medians = [statistics.median(seconds[kind]) * 1e6 for kind in "ku"]
    print(f"\nRCPT: {medians[0]:.0f} µs for who had mail, {medians[1]:.0f} µs for who never had")


async def test_the_store_is_not_asked_before_there_is_a_message(door: Opening) -> None:
    async with door(Untouchable()) as opened:
        client = await greeted(opened)
        for recipient in ("b+1@bounces.example", "postmaster", "x@example.org"):
            await told(client, recipient)
        await client.ask("VRFY b+1")
        client.close()


@pytest.mark.parametrize("path", RELAYING)
async def test_nothing_is_taken_for_somebody_else(door: Opening, path: str) -> None:
    async with door(MemoryInbox()) as opened:
        client = await greeted(opened)
        assert (await client.ask("MAIL FROM:<> SMTPUTF8")).startswith("250 ")
        reply = await client.ask(f"RCPT TO:{path}")
        if path == "<u@bounces.example.>":
            assert reply[0] in "25"  # a dot at the end is the same domain, taken or not
        else:
            assert reply.startswith("5"), reply
        client.close()


async def test_no_word_of_who_is_turned_away_but_one_a_minute(
    door: Opening, caplog: pytest.LogCaptureFixture
) -> None:
    limits = SmtpLimits(exempt=(), connections_per_network=1)
    async with door(MemoryInbox(), limits=limits) as opened:
        first = await greeted(opened)
        for _ in range(50):
            other = await Client.connect(opened.addresses[0])
            assert (await other.reply()).startswith("421 4.7.0 ")
            other.close()
        first.close()
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == [
        "turned away 127.0.0.1: 421 4.7.0 Too many connections from your network, try again later"
    ]


async def test_a_load_balancer_that_hides_its_clients_is_noticed(
    door: Opening, caplog: pytest.LogCaptureFixture
) -> None:
    async with door(MemoryInbox()) as opened:
        _knock(opened, "10.1.2.3", 950)
        _knock(opened, "192.0.2.1", 50)
        _knock(opened, "10.1.2.3", 1000)
        assert caplog.text.count("nearly every connection comes from 10.1.2.3") == 1
    caplog.clear()
    async with door(MemoryInbox()) as opened:
        _knock(opened, "9.9.9.9", 1000)  # a public one may well send that much
        _knock(opened, "10.1.2.3", 500)
        _knock(opened, "10.1.2.4", 500)
    assert caplog.text == ""


def _knock(opened: Door, peer: str, times: int) -> None:
    opened._pace._due.clear()
    for _ in range(times):
        opened.refusal_of(peer)


async def test_a_session_that_fails_to_arrive_is_counted_out(
    door: Opening, metrics: Metrics
) -> None:
    async with door(MemoryInbox()) as opened:
        for _ in range(20):
            client = await Client.connect(opened.addresses[0])
            client.reset()
    assert sample(metrics, "smtp_sessions") == 0
