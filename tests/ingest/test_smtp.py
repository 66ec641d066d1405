"""What the dialogs cannot say: limits that take many commands, logs, metrics, the real store."""

import asyncio
import logging
import re
import socket
from datetime import timedelta
from pathlib import Path

import pytest

from bouncer.config import Smtp, SmtpLimits, Tls
from bouncer.errors import ConfigurationError
from bouncer.ingest.door import Door
from bouncer.metrics import Metrics
from bouncer.records import digest_of
from bouncer.store.store import Store
from tests.ingest.client import Client, until
from tests.ingest.conftest import Opening
from tests.ingest.inbox import MemoryInbox

MESSAGE = b"Subject: undeliverable\r\n\r\nsorry\r\n"


async def greeted(opened: Door) -> Client:
    client = await Client.connect(opened.addresses[0])
    assert (await client.reply()).startswith("220 ")
    assert (await client.ask("EHLO client.example")).startswith("250")
    return client


async def sends(client: Client, *recipients: str, octets: bytes = MESSAGE) -> str:
    assert (await client.ask("MAIL FROM:<mailer-daemon@example.net>")).startswith("250 ")
    for recipient in recipients or ("b+1@bounces.example",):
        assert (await client.ask(f"RCPT TO:<{recipient}>")).startswith("250 ")
    assert (await client.ask("DATA")).startswith("354 ")
    await client.send(octets + b".\r\n")
    return await client.reply()


def sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"bouncer_{name}", labels)


async def test_who_speaks_before_the_greeting_is_not_served(door: Opening) -> None:
    # 2. A blocking connect: the octets are there before the server has accepted it.
    async with door(MemoryInbox()) as opened:
        with socket.create_connection(opened.addresses[0]) as early:
            early.sendall(b"EHLO client.example\r\n")
            early.setblocking(False)
            answer = b""
            loop = asyncio.get_running_loop()
            while octets := await loop.sock_recv(early, 1000):
                answer += octets
    assert re.fullmatch(rb"554 5\.5\.0 [^\r\n]+\r\n", answer)


async def test_the_101st_recipient_waits_for_the_next_message(door: Opening) -> None:
    # 31.
    inbox = MemoryInbox()
    async with door(inbox) as opened:
        client = await greeted(opened)
        await client.ask("MAIL FROM:<>")
        for number in range(100):
            reply = await client.ask(f"RCPT TO:<b+{number}@bounces.example>")
            assert reply.startswith("250 2.1.5 ")
        for _ in range(1000):
            reply = await client.ask("RCPT TO:<b+more@bounces.example>")
            assert reply.startswith("452 4.5.3 ")
        assert (await client.ask("DATA")).startswith("354 ")
        assert (await client.ask(".")).startswith("250 2.0.0 ")
        assert len(inbox.items) == 100
        assert inbox.calls == 1


@pytest.mark.parametrize("recipient", ["b+{}@bounces.example", "b+1@bounces.example"])
async def test_recipients_that_are_too_many_end_somewhere(door: Opening, recipient: str) -> None:
    async with door(MemoryInbox()) as opened:
        client = await greeted(opened)
        taken = 100 if "{}" in recipient else 1
        commands = [f"RCPT TO:<{recipient.format(n)}>\r\n" for n in range(taken + 1001)]
        await client.send("".join(["MAIL FROM:<>\r\n", *commands]).encode())
        replies = [await client.reply() for _ in range(taken + 1002)]
        assert replies[-1].startswith("421 4.7.0 ")
        await client.end()


async def test_what_is_kept_is_what_was_sent_and_by_whom(door: Opening) -> None:
    inbox = MemoryInbox()
    async with door(inbox) as opened:
        client = await greeted(opened)
        reply = await sends(
            client, "b+1@bounces.example", "b+1@bounces.example", "ABUSE@bounces.example"
        )
    first, second = inbox.stored
    assert reply == f"250 2.0.0 Kept as {first.id}"
    assert (first.recipient, first.sender) == ("b+1@bounces.example", "mailer-daemon@example.net")
    assert (first.octets, first.digest, first.peer) == (MESSAGE, digest_of(MESSAGE), "127.0.0.1")
    assert (first.human, second.human) == (False, True)
    assert first.received_at.utcoffset() == timedelta(0)


async def test_human_mail_is_finished_when_it_is_stored_and_counted_once(
    door: Opening, metrics: Metrics
) -> None:
    async with door(MemoryInbox()) as opened:
        client = await greeted(opened)
        for _ in range(2):
            await sends(client, "postmaster@bounces.example", "b+1@bounces.example")
    finished = {"format": "human", "outcome": "human"}
    assert sample(metrics, "messages_processed_total", **finished) == 1


async def test_a_message_that_comes_again_is_acknowledged_again(
    door: Opening, metrics: Metrics
) -> None:
    async with door(MemoryInbox()) as opened:
        client = await greeted(opened)
        assert (await sends(client)) == (await sends(client))
    assert sample(metrics, "messages_received_total", source="smtp") == 1
    assert sample(metrics, "messages_received_total", source="duplicate") == 1
    assert sample(metrics, "message_store_seconds_count") == 2


async def test_without_domains_every_recipient_is_taken(door: Opening) -> None:
    inbox = MemoryInbox()
    async with door(inbox, domains=()) as opened:
        client = await greeted(opened)
        assert (await sends(client, "x@example.org", "x@[127.0.0.1]", "x")).startswith("250 ")
    assert len(inbox.items) == 3


async def test_sessions_replies_and_refusals_are_counted(door: Opening, metrics: Metrics) -> None:
    async with door(MemoryInbox("away")) as opened:
        client = await greeted(opened)
        await client.ask("XYZZY")
        await client.ask("MAIL FROM:<>")
        await client.ask("RCPT TO:<x@example.org>")
        await client.ask("RSET")
        await sends(client)
        assert sample(metrics, "smtp_sessions") == 1
        await client.ask("QUIT")
        await client.end()
        client.close()
        await until(lambda: sample(metrics, "smtp_sessions") == 0)
    assert sample(metrics, "smtp_connections_total", outcome="quit") == 1
    assert sample(metrics, "smtp_replies_total", command="other", code="500") == 1
    assert sample(metrics, "smtp_replies_total", command="rcpt", code="550") == 1
    assert sample(metrics, "smtp_replies_total", command="data", code="451") == 1
    assert sample(metrics, "messages_refused_total", reason="foreign_recipient") == 1
    assert sample(metrics, "messages_refused_total", reason="store_unavailable") == 1


async def test_one_line_for_a_message_and_one_for_a_session_and_no_address_in_them(
    door: Opening, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "bouncer.ingest")
    async with door(MemoryInbox()) as opened:
        client = await greeted(opened)
        await client.ask("EHLO \u202eevil")
        await client.ask("EHLO evil\u00a0\u00fc")
        await sends(client, "secret@bounces.example")
        await client.ask("QUIT")
    kept, ended = [record.getMessage() for record in caplog.records]
    assert re.fullmatch(
        r"kept \w{32}: 33 octets to s\*\*\*@bounces.example from <m\*\*\*@example.net> of \S+",
        kept,
    )
    assert ended.startswith("session of 127.0.0.1 ended: quit, 1 messages, 2 errors")
    assert "evil" not in ended.partition("helo")[0]


async def test_an_address_for_a_name_is_masked_in_the_log(
    door: Opening, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with door(MemoryInbox()) as opened:
        client = await Client.connect(opened.addresses[0])
        await client.reply()
        assert (await client.ask("EHLO jane.doe@customer.example")).startswith("250-")
        await client.ask("QUIT")
        await client.end()
        client.close()
        await until(lambda: "helo j***@customer.example" in caplog.text)
    assert "jane.doe" not in caplog.text


async def test_a_broken_certificate_stops_no_mail(
    door: Opening, metrics: Metrics, tmp_path: Path
) -> None:
    tls = Tls(certificate=tmp_path / "missing.crt", key=tmp_path / "missing.key")
    async with door(MemoryInbox(), tls=tls) as opened:
        client = await greeted(opened)
        assert (await client.ask("STARTTLS")).startswith("454 4.7.0 ")
        assert (await sends(client)).startswith("250 ")
    assert sample(metrics, "tls_certificate_expiry_timestamp_seconds") == 0


async def test_a_port_that_is_taken_is_a_fault_of_the_configuration(
    door: Opening,
) -> None:
    async with door(MemoryInbox()) as opened:
        host, port = opened.addresses[0]
        config = Smtp(listen=(f"{host}:{port}",), hostname="mx")
        with pytest.raises(ConfigurationError, match=rf"cannot listen on 127\.0\.0\.1:{port}"):
            async with door(MemoryInbox(), config):
                pass


async def test_another_network_is_served_while_one_is_at_its_limit(
    door: Opening, metrics: Metrics
) -> None:
    limits = SmtpLimits(connections_per_network=1, exempt=())
    async with door(MemoryInbox(), limits=limits) as opened:
        first = await greeted(opened)
        refused = await Client.connect(opened.addresses[0])
        other = await Client.connect(opened.addresses[0], source="127.0.0.2")
        assert (await refused.reply()).startswith("421 4.7.0 ")
        assert (await other.reply()).startswith("220 ")
        await first.ask("QUIT")
        await first.end()
        first.close()
        await until(lambda: sample(metrics, "smtp_sessions") == 1)
        again = await greeted(opened)
        for client in (other, again):
            client.close()


async def test_a_drain_without_sessions_ends_after_the_time_of_grace(door: Opening) -> None:
    grace = timedelta(milliseconds=200)
    async with door(MemoryInbox(), drain_accept=grace) as opened:
        drained = asyncio.create_task(opened.drain())
        await asyncio.sleep(0)
        client = await greeted(opened)  # still served
        assert (await sends(client)).startswith("250 ")
        assert (await client.reply()).startswith("421 4.3.2 ")
        await client.end()
        client.close()
        await drained
        with pytest.raises(ConnectionRefusedError):
            await Client.connect(opened.addresses[0])


async def test_a_drain_at_once_still_answers_for_what_is_being_stored(door: Opening) -> None:
    inbox = MemoryInbox("slow")
    async with door(inbox) as opened:
        storing, idle, halfway = [await greeted(opened) for _ in range(3)]
        await halfway.send(b"MAIL FROM:<>\r\nRCPT TO:<b+2@bounces.example>\r\nDATA\r\n")
        while not (await halfway.reply()).startswith("354 "):
            pass
        answer = asyncio.create_task(sends(storing))
        await until(lambda: inbox.calls > 0)
        await opened.drain(immediately=True)
        assert (await answer).startswith("250 2.0.0 ")
        for client in (storing, idle, halfway):
            assert (await client.reply()).startswith("421 4.3.2 ")
            await client.end()
            client.close()


async def test_data_that_runs_may_end_within_the_time_to_finish(door: Opening) -> None:
    config = {"drain_accept": timedelta(0), "drain_finish": timedelta(milliseconds=300)}
    inbox = MemoryInbox()
    async with door(inbox, **config) as opened:
        running, endless = [await greeted(opened) for _ in range(2)]
        for client in (running, endless):
            await client.send(b"MAIL FROM:<>\r\nRCPT TO:<b+2@bounces.example>\r\nDATA\r\n")
            while not (await client.reply()).startswith("354 "):
                pass
        drained = asyncio.create_task(opened.drain())
        await until(lambda: opened.stopping)
        await running.send(MESSAGE + b".\r\n")
        assert (await running.reply()).startswith("250 2.0.0 ")
        for client in (running, endless):
            assert (await client.reply()).startswith("421 4.3.2 ")
            await client.end()
            client.close()
        await drained
    assert len(inbox.items) == 1


async def test_an_envelope_without_data_holds_up_no_drain(door: Opening) -> None:
    config = {"drain_accept": timedelta(0), "drain_finish": timedelta(hours=1)}
    async with door(MemoryInbox(), **config) as opened:
        sender, recipient, slow = [await greeted(opened) for _ in range(3)]
        for client in (sender, recipient, slow):
            assert (await client.ask("MAIL FROM:<>")).startswith("250 ")
        for client in (recipient, slow):
            assert (await client.ask("RCPT TO:<b+2@bounces.example>")).startswith("250 ")
        drained = asyncio.create_task(opened.drain())
        await until(lambda: opened.stopping)
        assert (await slow.ask("DATA")).startswith("354 ")
        for client in (sender, recipient):
            assert (await client.reply()).startswith("421 4.3.2 ")
            await client.end()
            client.close()
        await slow.send(MESSAGE + b".\r\n")
        assert (await slow.reply()).startswith("250 2.0.0 ")
        await slow.end()
        slow.close()
        await drained


async def test_a_250_means_that_the_store_has_it(door: Opening, tmp_path: Path) -> None:
    store = await Store.open(f"sqlite:///{tmp_path / 'bouncer.db'}")
    try:
        async with door(store.inbox) as opened:
            first, second = await greeted(opened), await greeted(opened)
            replies = await asyncio.gather(
                sends(first, "b+1@bounces.example", "b+2@bounces.example"), sends(second)
            )
            kept = [reply.rpartition(" ")[2] for reply in replies]
            assert kept[0] == kept[1]
            assert await store.inbox.octets(kept[0]) == MESSAGE
            assert sum((await store.inbox.counts()).values()) == 2
            for client in (first, second):
                client.close()
    finally:
        await store.close()


async def test_many_large_messages_at_once_are_put_off_before_memory_is_full(door: Opening) -> None:
    limits = SmtpLimits(receiving_bytes=240_000)
    async with door(MemoryInbox(), max_message_bytes=10_000, limits=limits) as opened:
        clients = [await greeted(opened) for _ in range(26)]
        for client in clients:
            await client.send(b"MAIL FROM:<>\r\nRCPT TO:<b+2@bounces.example>\r\nDATA\r\n")
            while not (await client.reply()).startswith("354 "):
                pass
            await client.send(b"x" * 9_990)
        await until(lambda: clients[-1].closed)
        assert (await clients[-1].reply()).startswith("452 4.3.1 ")
        clients.pop().close()
        for client in clients:
            if not client.closed:
                await client.send(b"\r\n.\r\n")
                assert (await client.reply()).startswith(("250 ", "452 "))
            client.close()
        await until(lambda: opened.held == 0)


@pytest.mark.parametrize(("mood", "reply"), [("well", "250 "), ("away", "451 ")])
async def test_what_waits_for_the_store_counts_until_it_is_answered(
    door: Opening, mood: str, reply: str
) -> None:
    inbox = MemoryInbox("stuck")
    limits = SmtpLimits(receiving_bytes=100_000)
    large = b"x" * 9_990 + b"\r\n"
    async with door(inbox, max_message_bytes=10_000, limits=limits) as opened:
        clients = [await greeted(opened) for _ in range(17)]
        last = clients.pop()
        answers = [asyncio.create_task(sends(client, octets=large)) for client in clients]
        await until(lambda: inbox.calls == len(clients))
        assert opened.held == len(clients) * len(large)
        await last.send(b"MAIL FROM:<>\r\nRCPT TO:<b+2@bounces.example>\r\nDATA\r\n")
        while not (await last.reply()).startswith("354 "):
            pass
        await last.send(large)
        assert (await last.reply()).startswith("452 4.3.1 ")
        inbox.mood = mood
        inbox.free.set()
        assert {(await answer)[:4] for answer in answers} == {reply}
        await until(lambda: opened.held == 0)
        for client in (*clients, last):
            client.close()


async def test_an_unfinished_handshake_holds_up_no_shutdown(
    door: Opening, certificate: Tls, metrics: Metrics
) -> None:
    async with door(MemoryInbox(), tls=certificate) as opened:
        client = await greeted(opened)
        assert (await client.ask("STARTTLS")).startswith("220 ")
        async with asyncio.timeout(5):
            await opened.drain(immediately=True)
            await client.end()
        client.close()
    assert sample(metrics, "smtp_sessions") == 0
    assert sample(metrics, "smtp_connections_total", outcome="tls_failed") == 1
