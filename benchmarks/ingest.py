"""How fast bounces are taken, beside stock aiosmtpd and a real Postfix, in alternating rounds.

The server has one core, the load the other. Figures move with the machine and the hour: the ratios
of one run are what counts, and CPU time per message is steadier than messages per second.

    python benchmarks/ingest.py [--rounds 5] [--connections 20] [--messages 50] [--json]
"""

import argparse
import asyncio
import contextlib
import functools
import json
import logging
import os
import pwd
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import uvloop
from aiosmtpd.smtp import SMTP, Envelope, Session
from prometheus_client import CollectorRegistry

from bouncer.config import BounceDomain, Smtp
from bouncer.ingest.smtp import Inbox, listening
from bouncer.metrics import Metrics
from bouncer.records import Received

_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = _CORES[0], _CORES[-1]
DOMAIN = "bounces.example"
STOCK, DISCARD, DURABLE, POSTFIX = "stock", "discard", "durable", "postfix"
NAMES = {
    STOCK: "stock aiosmtpd, discards",
    DISCARD: "bouncer's door, discards",
    DURABLE: "bouncer, SQLite, fsync before the 250",
    POSTFIX: "Postfix smtpd to queue (HOLD)",
}
# Numerator, denominator, which figure, and what performance is asked for at least or at most.
RATIOS = (
    (DURABLE, STOCK, "per_second", "at least 2.5, aim 5"),
    (DURABLE, POSTFIX, "per_second", "at least 4, aim 8"),
    (STOCK, DURABLE, "cpu_us", "the same by CPU"),
    (POSTFIX, DURABLE, "cpu_us", "the same by CPU"),
    (DURABLE, POSTFIX, "p99_ms", "at most 0.5, aim 0.25"),
    (DISCARD, STOCK, "per_second", ""),
)
BOUNCE = """\
Received: by mx.example.net (Postfix) id {id}; Sun, 22 Mar 2026 10:00:00 +0000 (UTC)
Date: Sun, 22 Mar 2026 10:00:00 +0000 (UTC)
From: MAILER-DAEMON@mx.example.net (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: b+token@bounces.example
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="{id}/mx.example.net"
Message-Id: <{id}@mx.example.net>

--{id}/mx.example.net
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

What you sent could not be delivered to one of its recipients. The answer of the server
that was asked to take it is below; the message itself follows as far as its headers.

<nobody@example.org>: host mail.example.org[192.0.2.25] said: 550 5.1.1
    <nobody@example.org>: there is nobody of this name here (in reply to RCPT TO command)

--{id}/mx.example.net
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net
X-Queue-Id: {id}
Arrival-Date: Sun, 22 Mar 2026 09:59:58 +0000 (UTC)

Final-Recipient: rfc822; nobody@example.org
Original-Recipient: rfc822;nobody@example.org
Action: failed
Status: 5.1.1
Remote-MTA: dns; mail.example.org
Diagnostic-Code: smtp; 550 5.1.1 <nobody@example.org>: there is nobody of this name here

--{id}/mx.example.net
Content-Description: Undelivered Message Headers
Content-Type: text/rfc822-headers

Return-Path: <b+token@bounces.example>
Received: from app.example.com (app.example.com [192.0.2.10])
    by mx.example.net (Postfix) with ESMTPS id {id}
    for <nobody@example.org>; Sun, 22 Mar 2026 09:59:58 +0000 (UTC)
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=mail; t=1774173598;
    bh={filler}; h=Date:From:To:Subject; b={filler}{filler}{filler}{filler}
Date: Sun, 22 Mar 2026 09:59:57 +0000
From: Example <news@example.com>
To: nobody@example.org
Subject: What is new in March
Message-Id: <{id}.march@app.example.com>
List-Unsubscribe: <https://example.com/unsubscribe/{filler}>, <mailto:leave@example.com>
List-Unsubscribe-Post: List-Unsubscribe=One-Click
MIME-Version: 1.0
Content-Type: text/html; charset=utf-8

--{id}/mx.example.net--
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one round, or the median of the rounds, says of a server."""

    per_second: float
    cpu_us: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs: where, and the process whose tree is it."""

    kind: str
    port: int
    pid: int

    def cpu_seconds(self) -> float:
        return sum(_thread_seconds(pid) for pid in _tree(self.pid))


# The load


class Sender(asyncio.Protocol):
    """One connection that sends its messages one after the other, without pipelining."""

    def __init__(self, messages: Sequence[bytes], waits: list[float]) -> None:
        self._messages = iter(messages)
        self._waits = waits
        self.done = asyncio.get_running_loop().create_future()
        self._steps = self._conversation()
        self._reply = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._expected = next(self._steps)

    def data_received(self, data: bytes) -> None:
        self._reply += data
        last = self._reply[self._reply.rfind(b"\n", 0, -1) + 1 :]
        if not last.endswith(b"\r\n") or last[3:4] != b" ":
            return
        reply, self._reply = self._reply, b""
        if not reply.startswith(self._expected):
            self.done.set_exception(RuntimeError(f"{self._expected!r} expected, got {reply!r}"))
            self._transport.abort()
            return
        try:
            self._expected = next(self._steps)
        except StopIteration:
            self._transport.close()
            self.done.set_result(None)

    def _conversation(self) -> Iterator[bytes]:
        yield b"220"
        yield self._say(b"EHLO load.example\r\n", b"250")
        for message in self._messages:
            yield self._say(b"MAIL FROM:<>\r\n", b"250")
            yield self._say(b"RCPT TO:<b+token@bounces.example>\r\n", b"250")
            yield self._say(b"DATA\r\n", b"354")
            began = time.perf_counter()
            yield self._say(message, b"250")
            self._waits.append(time.perf_counter() - began)

    def _say(self, octets: bytes, expected: bytes) -> bytes:
        self._transport.write(octets)
        return expected


async def load(port: int, connections: Sequence[Sequence[bytes]]) -> tuple[float, list[float]]:
    """Seconds it took, and how long each 250 was waited for."""
    loop = asyncio.get_running_loop()
    waits: list[float] = []
    began = time.perf_counter()
    senders = []
    for messages in connections:
        make = functools.partial(Sender, messages, waits)
        _, sender = await loop.create_connection(make, "127.0.0.1", port)
        senders.append(sender)
    await asyncio.gather(*(sender.done for sender in senders))
    return time.perf_counter() - began, waits


def messages_for(name: str, connections: int, messages: int) -> list[list[bytes]]:
    """Bounces that differ, so that none of them is a duplicate."""

    def message(number: int) -> bytes:
        text = BOUNCE.format(id=f"{name}{number:08d}", filler="q83vEjRWeJA" * 4)
        return text.replace("\n", "\r\n").encode() + b".\r\n"

    return [
        [message(connection * messages + n) for n in range(messages)]
        for connection in range(connections)
    ]


# The servers


class DiscardingInbox:
    """Keeps nothing."""

    async def receive(self, items: Sequence[Received]) -> list[bool]:
        return [True] * len(items)


class DiscardingHandler:
    """The same for aiosmtpd."""

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        return "250 OK"


async def serve(kind: str, folder: Path) -> None:
    """Runs one of the Python servers until it is killed; prints its port."""
    async with contextlib.AsyncExitStack() as stack:
        if kind == STOCK:
            loop = asyncio.get_running_loop()
            server = await loop.create_server(
                lambda: SMTP(DiscardingHandler(), enable_SMTPUTF8=True, hostname="mx"),
                "127.0.0.1",
                0,
            )
            port = server.sockets[0].getsockname()[1]
        else:
            inbox = await stack.enter_async_context(_inbox(kind, folder))
            door = await stack.enter_async_context(
                listening(
                    inbox,
                    Smtp(listen=("127.0.0.1:0",), hostname="mx"),
                    [BounceDomain(bounce_domain=DOMAIN)],
                    Metrics(CollectorRegistry()),
                )
            )
            port = door.addresses[0][1]
        print(port, flush=True)
        await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def _inbox(kind: str, folder: Path) -> AsyncIterator[Inbox]:
    if kind == DISCARD:
        yield DiscardingInbox()
        return
    from bouncer.store.store import Store

    store = await Store.open(f"sqlite:///{folder / 'bouncer.db'}")
    try:
        yield store.inbox
    finally:
        await store.close()


@contextlib.contextmanager
def python_server(kind: str, folder: Path, loop: str) -> Iterator[Server]:
    command = [sys.executable, __file__, "--serve", kind, "--folder", str(folder), "--loop", loop]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline()
            if not port:
                raise SystemExit(f"{NAMES[kind]} did not start")
            yield Server(kind, int(port), process.pid)
        finally:
            process.kill()


@contextlib.contextmanager
def postfix_server(folder: Path, port: int) -> Iterator[Server]:
    """Postfix with a configuration and a queue of its own, which never delivers."""
    etc, queue, data = folder / "etc", folder / "queue", folder / "data"
    for directory in (etc, queue, data):
        directory.mkdir()
    shutil.chown(data, "postfix")
    for name in ("postfix-files", "dynamicmaps.cf"):
        if Path("/etc/postfix", name).exists():
            shutil.copy(Path("/etc/postfix", name), etc)
    (etc / "main.cf").write_text(MAIN_CF.format(folder=folder))
    (etc / "master.cf").write_text(MASTER_CF.format(port=port))
    _on_server_core(["postfix", "-c", str(etc), "start"])
    try:
        pid = int((queue / "pid" / "master.pid").read_text())
        _wait_for(port)
        yield Server(POSTFIX, port, pid)
    finally:
        subprocess.run(["postfix", "-c", etc, "stop"], capture_output=True, check=False)


MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
maillog_file_prefixes = {folder}
maillog_file = {folder}/maillog
myhostname = mx.example.net
mydestination =
relay_domains = bounces.example
local_recipient_maps =
alias_maps =
alias_database =
inet_interfaces = loopback-only
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_restrictions = check_client_access static:HOLD
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
"""
MASTER_CF = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
error     unix  - - n - - error
retry     unix  - - n - - error
anvil     unix  - - n - 1 anvil
postlog   unix-dgram n - n - 1 postlogd
"""


def postfix_missing() -> str | None:
    """Why Postfix cannot be measured here."""
    if shutil.which("postfix") is None:
        return "postfix is not installed (Debian package postfix)"
    if os.geteuid() != 0:
        return "postfix can only be started by root"
    try:
        pwd.getpwnam("postfix")
    except KeyError:
        return "there is no user postfix"
    return None


def _on_server_core(command: list[str]) -> None:
    subprocess.run(
        command,
        check=True,
        capture_output=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {SERVER_CORE}),
    )


def _wait_for(port: int) -> None:
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise SystemExit(f"nobody listens on port {port}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _tree(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        below = [int(child) for child in children.read_text().split()]
    except OSError:
        return []
    return [pid, *(grandchild for child in below for grandchild in _tree(child))]


def _thread_seconds(pid: int) -> float:
    total = 0
    for stat in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            total += int(stat.read_text().split()[0])
    return total / 1e9


# The comparison


def measure(server: Server, connections: Sequence[Sequence[bytes]]) -> Figures:
    count = sum(len(messages) for messages in connections)
    before = server.cpu_seconds()
    seconds, waits = uvloop.run(load(server.port, connections))
    cpu = server.cpu_seconds() - before
    waits.sort()
    return Figures(
        per_second=count / seconds,
        cpu_us=cpu / count * 1e6,
        p50_ms=waits[len(waits) // 2] * 1e3,
        p99_ms=waits[int(len(waits) * 0.99)] * 1e3,
    )


def compare(arguments: argparse.Namespace) -> dict[str, list[Figures]]:
    results: dict[str, list[Figures]] = {}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bouncer-bench-")))
        folder.chmod(0o755)
        servers = _started(stack, folder, arguments.loop)
        os.sched_setaffinity(0, {LOAD_CORE})
        for number in range(-1, arguments.rounds):  # The first only warms up.
            for server in servers if number % 2 else reversed(servers):
                name = f"{os.getpid():x}{server.kind[:2]}{number + 1:03d}"
                figures = measure(
                    server, messages_for(name, arguments.connections, arguments.messages)
                )
                if number >= 0:
                    results.setdefault(server.kind, []).append(figures)
            _forget_queue(folder)
    return results


def _started(stack: contextlib.ExitStack, folder: Path, loop: str) -> list[Server]:
    servers = [
        stack.enter_context(python_server(STOCK, folder, "asyncio")),
        stack.enter_context(python_server(DISCARD, folder, loop)),
        stack.enter_context(python_server(DURABLE, folder, loop)),
    ]
    if why := postfix_missing():
        print(f"NOT MEASURED: Postfix: {why}", file=sys.stderr)
    else:
        servers.append(stack.enter_context(postfix_server(folder, _free_port())))
    return servers


def _forget_queue(folder: Path) -> None:
    for message in folder.glob("queue/hold/*"):
        message.unlink()


def medians(rounds: list[Figures]) -> Figures:
    return Figures(
        **{
            name: statistics.median(getattr(figures, name) for figures in rounds)
            for name in Figures.__dataclass_fields__
        }
    )


def ratios(results: dict[str, list[Figures]]) -> list[tuple[str, float, str]]:
    """Medians of the ratios of each round: servers of one round had the same weather."""
    rows = []
    for above, below, figure, target in RATIOS:
        if above in results and below in results:
            pairs = zip(results[above], results[below], strict=True)
            ratio = statistics.median(getattr(a, figure) / getattr(b, figure) for a, b in pairs)
            rows.append((f"{above} ÷ {below}, {figure}", ratio, target))
    return rows


def show(results: dict[str, list[Figures]]) -> None:
    print(f"{'':40}{'msg/s':>9}{'CPU µs':>9}{'p50 ms':>9}{'p99 ms':>9}")
    for kind, rounds in results.items():
        m = medians(rounds)
        print(f"{NAMES[kind]:40}{m.per_second:9.0f}{m.cpu_us:9.0f}{m.p50_ms:9.2f}{m.p99_ms:9.2f}")
    print()
    for name, ratio, target in ratios(results):
        print(f"{name:40}{ratio:9.2f}  {target}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--messages", type=int, default=50, help="on each connection")
    parser.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", choices=(STOCK, DISCARD, DURABLE), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        os.sched_setaffinity(0, {SERVER_CORE})
        logging.basicConfig(filename=os.devnull, level=logging.WARNING)
        run: Callable[..., None] = uvloop.run if arguments.loop == "uvloop" else asyncio.run
        run(serve(arguments.serve, arguments.folder))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    results = compare(arguments)
    if arguments.json:
        report = {
            "servers": {kind: asdict(medians(rounds)) for kind, rounds in results.items()},
            "ratios": [{"ratio": n, "value": v, "target": t} for n, v, t in ratios(results)],
        }
        print(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        show(results)


if __name__ == "__main__":
    main()
