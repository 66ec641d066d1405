"""The real service under clients that want it to fall over, while others send their mail.

In short here; FAULTS_SCALE=full makes it the whole figure. `pytest -s` shows what was measured.
"""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from bouncer.config import Tls
from tests.faults.proc import descriptors, memory
from tests.faults.scale import FULL, Run
from tests.ingest.client import Client, until
from tests.servers.bouncer import Bouncer

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="/proc is Linux's"),
    pytest.mark.timeout(1800 if FULL else 120),
]

MIB = 2**20
SIZE = (25 if FULL else 1) * MIB
ENDLESS = (600 if FULL else 64) * MIB
FLOOD = 2000 if FULL else 200
MAILS = 200 if FULL else 20
SLOW = 200 if FULL else 20
FOREIGN = 50_000 if FULL else 1900

DOMAINS = [{"bounce_domain": "bounces.example", "sending_domains": ["example.com"]}]
ENVELOPE = b"EHLO client.example\r\nMAIL FROM:<>\r\nRCPT TO:<b+1@bounces.example>\r\nDATA\r\n"

Serving = Callable[..., Any]


@pytest.fixture
def serving(tmp_path: Path, free_port: Callable[[], int]) -> Serving:
    """Runs the service: `async with serving(limits={...}) as bouncer`."""

    @asynccontextmanager
    async def run(
        limits: dict[str, Any] | None = None, under: tuple[str, ...] = (), **smtp: Any
    ) -> AsyncIterator[Bouncer]:
        port = free_port()
        settings = {"max_message_bytes": SIZE, "limits": limits or {}, **smtp}
        bouncer = Bouncer(tmp_path, port, free_port(), {"smtp": settings, "domains": DOMAINS})
        try:
            await asyncio.to_thread(bouncer.start, under=under)
            yield bouncer
        finally:
            bouncer.close()

    return run


async def connected(bouncer: Bouncer, source: str = "127.0.0.1") -> Client:
    return await Client.connect(("127.0.0.1", bouncer.smtp_port), source=source)


async def in_data(bouncer: Bouncer, source: str = "127.0.0.1") -> Client:
    client = await connected(bouncer, source)
    assert (await client.reply()).startswith("220 ")
    await client.send(ENVELOPE)
    while not (reply := await client.reply()).startswith("354 "):
        assert reply.startswith("250"), reply
    return client


async def sends(bouncer: Bouncer, number: int, source: str = "127.0.0.1") -> str:
    """The reply to a message in a session of its own."""
    client = await in_data(bouncer, source)
    try:
        await client.send(b"Subject: %d\r\n\r\nsorry\r\n.\r\n" % number)
        return await client.reply()
    finally:
        client.close()


async def pours(client: Client, octets: int) -> int:
    """Sends one line without an end, until the server has enough; how much it took."""
    piece, poured = b"x" * MIB, 0
    while poured < octets and not client.closed:
        await client.send(piece)
        poured += len(piece)
        await until(lambda: client.closed or client.transport.get_write_buffer_size() < MIB)
    return poured


async def settled(bouncer: Bouncer) -> int:
    """The memory of a service that has worked a little; its peak is counted from here on."""
    for number in range(20):
        assert (await sends(bouncer, number)).startswith("250 ")
    finished = 'bouncer_inbox_messages{state="waiting"}'
    await until(lambda: len(bouncer.events()) >= 20 and bouncer.metric(finished) == 0)
    forget_peak(bouncer.pid)
    return memory(bouncer.pid)


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # proc(5): resets VmHWM


def log_lines(bouncer: Bouncer, logger: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in bouncer.log_file.read_text().splitlines()]
    return [line for line in lines if line["logger"].startswith(logger)]


async def test_an_endless_line_is_cut_at_the_limit(serving: Serving) -> None:
    async with serving() as bouncer:
        before = await settled(bouncer)
        client = await in_data(bouncer)
        poured = await pours(client, ENDLESS)
        assert (await client.reply()).startswith("552 5.3.4 ")
        await client.end()
        client.close()
        grown = memory(bouncer.pid, "VmHWM") - before
        print(f"\nendless line of {poured / MIB:.0f} MiB: memory at most +{grown / MIB:.1f} MiB")
        assert grown < 2 * SIZE + 16 * MIB  # what else a service does meanwhile
        assert (await sends(bouncer, 1)).startswith("250 ")


async def test_memory_that_endless_lines_took_is_given_back(serving: Serving) -> None:
    run = Run("endless-lines", ci=30, full=100)
    if not run.left:
        return
    async with serving() as bouncer:
        before = await settled(bouncer)
        while run.left:
            count = min(run.left, 10)
            with run.counting(count):
                await asyncio.gather(*(_pours_endlessly(bouncer) for _ in range(count)))
                peak = memory(bouncer.pid, "VmHWM")
                await until(lambda: bouncer.metric("bouncer_smtp_sessions") == 0)
                await until(lambda: memory(bouncer.pid) < before * 1.1)
                after = memory(bouncer.pid)
                run.worst(mib_before=before / MIB, mib_at_most=peak / MIB, mib_after=after / MIB)
                assert peak < before + 256 * MIB + 10 * 2 * SIZE


async def _pours_endlessly(bouncer: Bouncer) -> None:
    client = await in_data(bouncer)
    await pours(client, ENDLESS)
    assert (await client.reply())[:3] in ("552", "452")
    await client.end()
    client.close()


async def flood(bouncer: Bouncer, count: int) -> tuple[list[socket.socket], int]:
    """Connects so many times from one address and holds on to it; how many stayed connected."""
    loop = asyncio.get_running_loop()
    held, refused = [], 0
    for _ in range(count):
        one = socket.socket()
        one.setblocking(False)
        one.bind(("127.0.0.2", 0))
        await loop.sock_connect(one, ("127.0.0.1", bouncer.smtp_port))
        held.append(one)
    for one in held:
        try:
            refused += not (await loop.sock_recv(one, 100)).startswith(b"220 ")
        except ConnectionError:
            refused += 1
    return held, count - refused


async def test_who_floods_the_door_is_the_only_one_to_suffer(serving: Serving) -> None:
    run = Run("flood", ci=FLOOD, full=FLOOD)
    while run.left:
        with run.counting(FLOOD):
            async with serving({"exempt": []}) as bouncer:
                await _flood_beside_mail(bouncer, run)


async def _flood_beside_mail(bouncer: Bouncer, run: Run) -> None:
    flooding = asyncio.create_task(flood(bouncer, FLOOD))
    seconds, health = [], 0.0
    async with httpx.AsyncClient(base_url=bouncer.url) as http:
        for number in range(MAILS):
            began = time.perf_counter()
            assert (await sends(bouncer, number, "127.0.0.3")).startswith("250 ")
            seconds.append(time.perf_counter() - began)
            began = time.perf_counter()
            assert (await http.get("/healthz")).status_code == 200
            health = max(health, time.perf_counter() - began)
    held, stayed = await flooding
    assert stayed == 20
    run.worst(
        p99_ms=sorted(seconds)[int(len(seconds) * 0.99)] * 1000,
        healthz_ms=health * 1000,
    )
    for one in held:
        one.close()
    turned_away = log_lines(bouncer, "bouncer.ingest.door")
    assert 1 <= len(turned_away) <= 2, turned_away
    await until(lambda: bouncer.metric("bouncer_smtp_sessions") == 0)


async def test_too_few_file_descriptors_end_nothing(serving: Serving) -> None:
    limits = {"connections_per_network": 1000, "new_connections_burst": 1000, "exempt": []}
    under = ("prlimit", "--nofile=256:256")
    async with serving(limits, under) as bouncer:
        assert "only 128 are taken" in bouncer.log_file.read_text()
        held, stayed = await flood(bouncer, max(FLOOD // 2, 300))
        assert stayed == 128
        assert descriptors(bouncer.pid) < 256
        assert bouncer.http.get("/readyz").status_code == 200
        refused = await connected(bouncer, "127.0.0.3")
        assert (await refused.reply()).startswith("421 4.3.2 ")
        refused.close()
        for one in held:
            one.close()
        await until(lambda: bouncer.metric("bouncer_smtp_sessions") == 0)
        assert (await sends(bouncer, 1, "127.0.0.3")).startswith("250 ")


async def test_slow_clients_lose_their_place_and_patient_ones_do_not(serving: Serving) -> None:
    limits = {"idle": "2s", "data_idle": "2s", "connections": SLOW * 2 + 20}
    async with serving(limits) as bouncer:
        patient = await in_data(bouncer)
        talkers = [await connected(bouncer) for _ in range(SLOW)]
        writers = [await in_data(bouncer) for _ in range(SLOW)]
        while not all(client.closed for client in talkers + writers):
            for client in talkers + writers:
                await client.send(b"x")
            await patient.send(b"x" * 998 + b"\r\n")
            await asyncio.sleep(0.5)
        for client in talkers + writers:
            assert b"\r\n421 4.4.2 " in b"\r\n" + client.received
            client.close()
        await patient.send(b"\r\n.\r\n")
        assert (await patient.reply()).startswith("250 ")
        patient.close()


async def test_foreign_recipients_cost_no_store_and_no_memory(serving: Serving) -> None:
    async with serving() as bouncer:
        before, store = (
            await settled(bouncer),
            (bouncer.folder / "bouncer.db-wal").stat().st_mtime_ns,
        )
        sessions = FOREIGN // 19
        for first in range(sessions):
            client = await connected(bouncer)
            await client.reply()
            await client.send(b"EHLO client.example\r\nMAIL FROM:<>\r\n")
            rcpts = (b"RCPT TO:<%d-%d@example.net>\r\n" % (first, n) for n in range(20))
            await client.send(b"".join(rcpts))
            await client.end()
            assert client.received.count(b"\r\n550 5.7.1 ") == 19
            client.close()
        await until(lambda: bouncer.metric("bouncer_smtp_sessions") == 0)
        grown = memory(bouncer.pid) - before
        print(f"\n{sessions * 19} foreign recipients: memory +{grown / MIB:.1f} MiB")
        assert grown < 20 * MIB
        assert (bouncer.folder / "bouncer.db-wal").stat().st_mtime_ns == store
        assert len(bouncer.events()) == 20


HOSTILE = [
    b"\x1b[2J\x1b[31mevil",
    b'x","level":"error","event":"forged',
    b"x\xe2\x80\xa8level=error",
    b"x\xe2\x80\xaeroot",
    b"\xff\xfe%s%d{event}",
    b"x\rlevel=error",
    b"\\n{}",
]


async def test_whatever_a_client_says_is_one_line_in_the_log(serving: Serving) -> None:
    async with serving() as bouncer:
        bouncer.http.get("/healthz")
        for hostile in HOSTILE:
            client = await connected(bouncer)
            await client.reply()
            await client.send(b"EHLO " + hostile + b"\r\n")
            await client.send(b"RCPT TO:<" + hostile + b"@bounces.example>\r\n" + ENVELOPE[:-6])
            await client.send(b"RCPT TO:<" + hostile + b"@bounces.example>\r\n")
            await client.send(b'RCPT TO:<"' + hostile + b'"@bounces.example>\r\n')
            await client.send(b"DATA\r\n")
            while not (reply := await client.reply()).startswith("354 "):
                assert reply[0] in "25", reply
            await client.send(b"Subject: " + hostile + b"\r\n.\r\nQUIT\r\n")
            assert (await client.reply()).startswith("250 2.0.0 Kept")
            await client.end()
            client.close()
        await until(lambda: bouncer.metric("bouncer_smtp_sessions") == 0)
        assert bouncer.stop() == 0
        text = bouncer.log_file.read_bytes()
        assert all(octet == 0x0A or 0x20 <= octet < 0x7F for octet in text)
        lines = log_lines(bouncer, "bouncer.ingest")
        kept = [line for line in lines if line["event"].startswith("kept ")]
        ended = [line for line in lines if line["event"].startswith("session of ")]
        assert len(kept) == len(ended) == len(HOSTILE)
        assert len(lines) == len(kept) + len(ended)
        assert {line["level"] for line in lines} == {"info"}


async def test_clients_that_idle_hold_up_no_shutdown(
    serving: Serving, certificate: Tls, free_port: Callable[[], int]
) -> None:
    tls = {"certificate": str(certificate.certificate), "key": str(certificate.key)}
    secure = free_port()
    async with serving(tls=tls, tls_listen=[f"127.0.0.1:{secure}"]) as bouncer:
        clients = [await connected(bouncer) for _ in range(3)]
        for client in clients:
            await client.reply()
        await clients[1].ask("STARTTLS")
        await clients[1].start_tls()
        await clients[2].ask("STARTTLS")  # and no more
        clients.append(await Client.connect(("127.0.0.1", secure)))
        with socket.create_connection(("127.0.0.1", int(bouncer.url.rpartition(":")[2]))) as idle:
            idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert idle.recv(1000).startswith(b"HTTP/1.1 200")
            bouncer.terminate()
            # Those who will not close their side either: nothing here reads or answers meanwhile.
            assert bouncer.wait(20) == 0
        for client in clients:
            client.close()
