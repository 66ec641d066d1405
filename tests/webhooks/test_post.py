"""Where connections go: TLS names, forbidden addresses, names that change their mind."""

import asyncio
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from bouncer.records import Delivery, DeliveryState
from bouncer.webhooks.post import Resolve, system_addresses
from tests.webhooks.outbox import MemoryOutbox, delivery
from tests.webhooks.receiver import receiving, talking
from tests.webhooks.running import SOON, delivering, endpoint

HOUR = timedelta(hours=1)
HOST = "hooks.example.test"


def answering(*answers: Sequence[str]) -> Resolve:
    """A resolver that gives one answer after the other, the last over and over."""
    left = list(answers)

    async def resolve(host: str, port: int) -> Sequence[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


@dataclass
class Certificate:
    path: Path
    key: Path

    def serving(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path, self.key)
        return context

    def trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.path))


def self_signed(directory: Path, host: str) -> Certificate:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is missing: install the Debian package openssl")
    made = Certificate(directory / f"{host}.pem", directory / f"{host}.key")
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"]
    command += ["-keyout", str(made.key), "-out", str(made.path)]
    subprocess.run(command, check=True, capture_output=True)
    return made


def expired(certificate: Certificate) -> Certificate:
    command = ["openssl", "x509", "-in", str(certificate.path), "-out", str(certificate.path)]
    command += ["-signkey", str(certificate.key), "-days", "-1"]
    subprocess.run(command, check=True, capture_output=True)
    return certificate


async def deliver_once(
    url: str, *, tls: ssl.SSLContext | None = None, resolve: Resolve = system_addresses
) -> Delivery:
    outbox = MemoryOutbox(delivery())
    async with delivering(outbox, endpoint(url, ()), tls=tls, resolve=resolve):
        (done,) = await outbox.finished()
    return done


async def test_the_name_of_the_url_is_what_tls_and_host_say_at_the_checked_address(
    tmp_path: Path,
) -> None:
    certificate = self_signed(tmp_path, HOST)
    context = certificate.serving()
    names: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    async with receiving(tls=context) as receiver:
        done = await deliver_once(
            f"https://{HOST}:{receiver.port}/hook",
            tls=certificate.trusting(),
            resolve=answering(["127.0.0.1"]),
        )
    assert done.state is DeliveryState.DELIVERED
    assert names == [HOST]
    assert receiver.requests[0].headers["host"] == f"{HOST}:{receiver.port}"


async def test_a_self_signed_certificate_is_refused(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path, HOST)
    async with receiving(tls=certificate.serving()) as receiver:
        done = await deliver_once(
            f"https://{HOST}:{receiver.port}/hook", resolve=answering(["127.0.0.1"])
        )
    assert receiver.requests == []
    assert done.last_error is not None
    assert done.last_error.startswith("TLS: self")


async def test_a_certificate_authority_is_trusted_by_SSL_CERT_FILE(  # noqa: N802 - its name
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = self_signed(tmp_path, HOST)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.path))
    async with receiving(tls=certificate.serving()) as receiver:
        url = f"https://{HOST}:{receiver.port}/hook"
        done = await deliver_once(url, resolve=answering(["127.0.0.1"]))
    assert done.state is DeliveryState.DELIVERED


async def test_a_certificate_for_another_host_is_refused(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path, "other.example.test")
    async with receiving(tls=certificate.serving()) as receiver:
        done = await deliver_once(
            f"https://{HOST}:{receiver.port}/hook",
            tls=certificate.trusting(),
            resolve=answering(["127.0.0.1"]),
        )
    assert receiver.requests == []
    assert done.last_error is not None
    assert "Hostname mismatch" in done.last_error


async def test_an_expired_certificate_is_refused(tmp_path: Path) -> None:
    certificate = expired(self_signed(tmp_path, HOST))
    async with receiving(tls=certificate.serving()) as receiver:
        done = await deliver_once(
            f"https://{HOST}:{receiver.port}/hook",
            tls=certificate.trusting(),
            resolve=answering(["127.0.0.1"]),
        )
    assert receiver.requests == []
    assert done.last_error == "TLS: certificate has expired"


async def test_what_does_not_speak_tls_is_an_answer_like_another() -> None:
    async with receiving() as receiver:
        done = await deliver_once(f"https://127.0.0.1:{receiver.port}/hook")
    assert receiver.requests == []
    assert done.last_error is not None
    assert done.last_error.startswith("TLS: ")


@pytest.fixture
async def listener() -> AsyncIterator[list[str]]:
    """What connects to a port on 127.0.0.1 and ::1; the first entry is that port."""
    seen: list[str] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(str(writer.get_extra_info("peername")))
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    seen.append(str(server.sockets[0].getsockname()[1]))
    yield seen
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    "answer",
    [
        ["127.0.0.1"],
        ["2001:db8::1", "127.0.0.1"],
        ["127.0.0.1", "2001:db8::1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["fe80::1%lo"],
        ["64:ff9b::7f00:1"],
        ["0.0.0.0"],
    ],
)
async def test_one_forbidden_address_among_the_answers_refuses_the_attempt(
    answer: list[str], listener: list[str]
) -> None:
    outbox = MemoryOutbox(delivery())
    hook = endpoint(f"https://{HOST}:{listener[0]}/hook", (HOUR,), allow_private=False)
    async with delivering(outbox, hook, resolve=answering(answer)) as counted:
        (told,) = await outbox.results(1)
    assert told.state is DeliveryState.PENDING
    assert told.last_error is not None
    assert told.last_error.startswith("refused: ")
    assert counted["refused"] == 1
    assert len(listener) == 1


async def test_a_name_that_turns_to_loopback_is_refused_at_the_next_attempt(
    listener: list[str],
) -> None:
    outbox = MemoryOutbox(delivery())
    hook = endpoint(f"https://{HOST}:{listener[0]}/hook", SOON[:2], allow_private=False)
    # A documentation address leads nowhere: the first attempt fails, one way or another.
    turning = answering(["2001:db8::1"], ["127.0.0.1"])
    timeout = timedelta(seconds=0.3)
    async with delivering(outbox, hook, resolve=turning, timeout=timeout) as counted:
        await outbox.finished()
    errors = [result.last_error or "" for result in outbox.history]
    assert [error.startswith("refused: ") for error in errors] == [False, True, True]
    assert counted["refused"] == 1
    assert counted["failed"] == 1
    assert len(listener) == 1


async def test_an_address_written_in_the_url_is_checked_when_it_is_connected_to(
    listener: list[str],
) -> None:
    # As if the configuration had let it through.
    hook = endpoint(f"http://127.0.0.1:{listener[0]}/hook").model_copy(
        update={"allow_private": False, "url": f"https://127.0.0.1:{listener[0]}/hook"}
    )
    outbox = MemoryOutbox(delivery())
    async with delivering(outbox, hook) as counted:
        await outbox.results(1)
    assert counted["refused"] >= 1
    assert len(listener) == 1


async def test_a_connection_is_used_again_for_the_next_delivery() -> None:
    outbox = MemoryOutbox(*(delivery(n) for n in range(20)))
    peers = set()

    async def note(request: web.Request) -> web.Response:
        peers.add(request.transport.get_extra_info("peername") if request.transport else None)
        return web.Response(text="thank you")

    async with receiving(note) as receiver, delivering(outbox, endpoint(receiver.url)):
        await outbox.finished()
    assert len(receiver.requests) == 20
    assert len(peers) <= 4


async def test_after_a_body_that_is_too_long_the_connection_is_not_used_again() -> None:
    async def long(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n" + b"x" * 100_000)
        await writer.drain()
        await reader.read()  # until the sender closes it

    outbox = MemoryOutbox(delivery(1))
    async with talking(long) as receiver, delivering(outbox, endpoint(receiver.url)):
        await outbox.finished()
        outbox.add(delivery(2))
        await outbox.finished()
    assert receiver.connections == 2


async def test_a_name_without_an_address_is_tried_again() -> None:
    async def unknown(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    for resolve in (unknown, answering([])):
        outbox = MemoryOutbox(delivery())
        hook = endpoint(f"https://{HOST}/hook", (HOUR,))
        async with delivering(outbox, hook, resolve=resolve):
            (told,) = await outbox.results(1)
        assert told.state is DeliveryState.PENDING
        assert told.last_error == "the host has no address, or DNS did not answer"


async def test_dns_that_does_not_answer_is_part_of_the_timeout() -> None:
    async def silent(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    outbox = MemoryOutbox(delivery())
    hook = endpoint(f"https://{HOST}/hook", ())
    timeout = timedelta(seconds=0.1)
    async with delivering(outbox, hook, resolve=silent, timeout=timeout):
        (done,) = await outbox.finished()
    assert done.last_error == "no answer within 0.1 s"


async def test_the_system_resolver_knows_localhost_and_refuses_nonsense() -> None:
    assert {"127.0.0.1", "::1"} & set(await system_addresses("localhost", 443))
    with pytest.raises((OSError, UnicodeError)):
        await system_addresses("a" * 64 + ".example", 443)
    assert not [t for t in threading.enumerate() if "webhook" in t.name and not t.daemon]
