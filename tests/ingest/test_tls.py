"""TLS at the door: versions, ciphers, from the first octet, and what becomes of who has none."""

import asyncio
import ssl
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from bouncer.config import Smtp, SmtpLimits, Tls
from bouncer.ingest.door import Door
from bouncer.metrics import Metrics
from tests.ingest.client import Client, trusting, until
from tests.ingest.conftest import DOMAINS, Opening
from tests.ingest.inbox import MemoryInbox
from tests.ingest.test_smtp import greeted, sample, sends


async def encrypted(opened: Door, context: ssl.SSLContext, address: int = -1) -> Client:
    """A client of the address where TLS is spoken at once."""
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(
        Client, *opened.addresses[address], ssl=context, server_hostname="mx.bounces.example"
    )
    return client


def only(version: ssl.TLSVersion) -> ssl.SSLContext:
    context = trusting()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # old versions: that is the point
        context.minimum_version = context.maximum_version = version
    return context


def asking_for(ciphers: str) -> ssl.SSLContext:
    context = only(ssl.TLSVersion.TLSv1_2)
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    return context


def known(ciphers: str) -> bool:
    """Whether this OpenSSL, the server's too, has them at all."""
    try:
        asking_for(ciphers)
    except ssl.SSLError:
        return False
    return True


WEAK = ("aNULL", "eNULL", "RC4", "3DES", "EXP", "LOW", "kRSA", "PSK", "SHA1", "CAMELLIA")


class OverClient:
    """TLS on a bare client, so that octets in clear can share a segment with the handshake."""

    def __init__(self, raw: Client, before: bytes) -> None:
        self._raw = raw
        self._unsent = before
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl = trusting().wrap_bio(
            self._incoming, self._outgoing, server_hostname="mx.bounces.example"
        )

    async def flush(self) -> None:
        octets, self._unsent = self._unsent + self._outgoing.read(), b""
        await self._raw.send(octets)

    async def run(self, step: Callable[[], bytes | None]) -> bytes:
        """What this step of TLS gives, when the server has said enough for it."""
        while True:
            try:
                return step() or b""
            except ssl.SSLWantReadError:
                await self.flush()
                await until(lambda: bool(self._raw.received) or self._raw.closed)
                assert self._raw.received
                self._incoming.write(bytes(self._raw.received))
                self._raw.received.clear()

    async def hear(self, words: bytes) -> None:
        await self.flush()
        said = b""
        while words not in said:
            said += await self.run(lambda: self.ssl.read(1000))


REFUSED = (ssl.SSLError, ConnectionError)
TLS_BOTH = Smtp(listen=("127.0.0.1:0",), hostname="mx.bounces.example")


def both(tls: Tls, **values: object) -> Smtp:
    """A door in clear and one with TLS from the first octet."""
    return TLS_BOTH.model_copy(update={"tls": tls, "tls_listen": ("127.0.0.1:0",), **values})


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
async def test_tls_below_1_2_is_refused(
    door: Opening, certificate: Tls, version: ssl.TLSVersion
) -> None:
    async with door(MemoryInbox(), both(certificate)) as opened:
        client = await greeted(opened)
        await client.ask("STARTTLS")
        with pytest.raises(REFUSED):
            await asyncio.get_running_loop().start_tls(client.transport, client, only(version))
        with pytest.raises(REFUSED):
            await encrypted(opened, only(version))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls_1_2_and_1_3_are_spoken(
    door: Opening, certificate: Tls, version: ssl.TLSVersion
) -> None:
    async with door(MemoryInbox(), both(certificate)) as opened:
        client = await encrypted(opened, only(version))
        assert (await client.reply()).startswith("220 ")
        spoken = client.transport.get_extra_info("ssl_object").version()
        assert spoken == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]
        client.close()


@pytest.mark.parametrize("ciphers", [c for c in WEAK if known(c)])
async def test_weak_ciphers_are_refused(door: Opening, certificate: Tls, ciphers: str) -> None:
    context = asking_for(ciphers)
    async with door(MemoryInbox(), both(certificate)) as opened:
        with pytest.raises(REFUSED):
            await encrypted(opened, context)


async def test_the_cipher_is_the_one_that_the_server_likes_best(
    door: Opening, certificate: Tls
) -> None:
    async with door(MemoryInbox(), both(certificate)) as opened:
        chosen = set()
        for order in ("ECDHE+AES128:ECDHE+AESGCM", "ECDHE+AES256:ECDHE+AESGCM"):
            client = await encrypted(opened, asking_for(order))
            await client.reply()
            chosen.add(client.transport.get_extra_info("ssl_object").cipher()[0])
            client.close()
    assert len(chosen) == 1


async def test_tls_from_the_first_octet_takes_mail_and_offers_no_starttls(
    door: Opening, certificate: Tls
) -> None:
    inbox = MemoryInbox()
    async with door(inbox, both(certificate)) as opened:
        client = await encrypted(opened, trusting())
        assert (await client.reply()).startswith("220 ")
        assert "STARTTLS" not in await client.ask("EHLO client.example")
        assert (await client.ask("STARTTLS")).startswith("503 ")
        assert (await sends(client)).startswith("250 ")
        assert (await client.ask("QUIT")).startswith("221 ")
        await client.end()
        client.close()
    assert inbox.stored[0].peer == "127.0.0.1"


@pytest.mark.parametrize("together", [True, False])
async def test_a_proxy_header_comes_before_tls(
    door: Opening, certificate: Tls, together: bool
) -> None:
    # The first octets of the handshake may come in one segment with the header.
    inbox = MemoryInbox()
    config = both(certificate, proxy_protocol_from=("127.0.0.0/8",))
    async with door(inbox, config) as opened:
        raw = await Client.connect(opened.addresses[-1])
        tls = OverClient(raw, b"PROXY TCP4 192.0.2.9 198.51.100.1 40000 465\r\n")
        if not together:
            await tls.flush()
            await asyncio.sleep(0.02)
        try:
            await tls.run(tls.ssl.do_handshake)
            await tls.hear(b"220 ")
            tls.ssl.write(b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<b+1@bounces.example>\r\nDATA\r\n")
            await tls.hear(b"354 ")
            tls.ssl.write(b"\r\n.\r\n")
            await tls.hear(b"250 2.0.0 Kept")
        finally:
            raw.close()
    assert inbox.stored[0].peer == "192.0.2.9"


async def test_who_never_finishes_his_handshake_is_left_alone(
    door: Opening, certificate: Tls, metrics: Metrics
) -> None:
    config = both(certificate, limits=SmtpLimits.model_validate({"handshake": "1s"}))
    async with door(MemoryInbox(), config) as opened:
        silent, clear = [await Client.connect(opened.addresses[-1]) for _ in range(2)]
        await clear.send(b"EHLO client.example\r\n")
        await clear.end()
        assert sample(metrics, "smtp_sessions") == 1
        await silent.end()
        await until(lambda: sample(metrics, "smtp_sessions") == 0)
        for client in (silent, clear):
            client.close()
    assert sample(metrics, "smtp_connections_total", outcome="tls_failed") == 2


async def test_who_has_not_arrived_holds_up_no_drain(door: Opening, certificate: Tls) -> None:
    config = both(certificate, drain_accept=0 * TLS_BOTH.drain_accept)
    async with door(MemoryInbox(), config) as opened:
        handshaking, starting = [await Client.connect(a) for a in reversed(opened.addresses)]
        await starting.reply()
        assert (await starting.ask("STARTTLS")).startswith("220 ")
        async with asyncio.timeout(5):
            await opened.drain()
            await handshaking.end()
            await starting.end()
        handshaking.close()
        starting.close()


async def test_without_a_certificate_that_works_nobody_is_refused_for_good(
    door: Opening, tmp_path: Path, metrics: Metrics
) -> None:
    tls = Tls(certificate=tmp_path / "missing.crt", key=tmp_path / "missing.key", require=True)
    async with door(MemoryInbox(), both(tls)) as opened:
        client = await greeted(opened)
        assert (await client.ask("MAIL FROM:<>")).startswith("454 4.7.0 ")
        other = await Client.connect(opened.addresses[-1])
        await other.end()
        for one in (client, other):
            one.close()
    assert sample(metrics, "smtp_connections_total", outcome="tls_failed") == 1


async def test_a_renewed_certificate_is_the_one_that_is_shown(
    door: Opening, certificate: Tls
) -> None:
    broken = certificate.model_copy(update={"key": certificate.certificate})
    async with door(MemoryInbox(), both(broken)) as opened:
        other = await Client.connect(opened.addresses[-1])
        await other.end()
        other.close()
        opened.configure(both(certificate), DOMAINS)
        client = await encrypted(opened, trusting())
        assert (await client.reply()).startswith("220 ")
        client.close()
