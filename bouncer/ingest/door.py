"""What the sessions of the SMTP door share: whom it takes mail for, its limits, how it is closed.

A `Door` knows every open connection, says whether one more may come in, and drains: it takes new
connections a little longer, then sends idle sessions away, lets running messages end, and leaves.
"""

import asyncio
import ipaddress
import logging
import math
import ssl
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from enum import StrEnum
from functools import cache, lru_cache
from typing import Protocol

from bouncer.clock import Clock
from bouncer.config import BounceDomain, Smtp
from bouncer.ingest import certificate
from bouncer.metrics import Metrics
from bouncer.records import Received

log = logging.getLogger(__name__)

_CROWDED = 0.8  # of the connections: from here on nobody may idle for long
_CROWDED_IDLE_SECONDS = 10.0
_HANDSHAKE_SECONDS = 60.0
_HELD_MESSAGES = 24  # of the largest size: what may be in memory, half received

SHUTTING_DOWN = "421 4.3.2 Shutting down, try again later"


class Inbox(Protocol):
    """Where messages go. When `receive` returns they are durable; True stands for new."""

    async def receive(self, items: Sequence[Received]) -> list[bool]: ...


class Outcome(StrEnum):
    """How a connection ended."""

    QUIT = "quit"
    LOST = "lost"  # the client left without QUIT
    TIMEOUT = "timeout"
    CROWDED = "crowded"  # too many connections, in all or from its network; or too much mail
    TOO_MUCH = "too_much"  # commands, errors, messages or octets
    EARLY_TALKER = "early_talker"
    PROTOCOL = "protocol"  # not SMTP, or a trick
    TLS_FAILED = "tls_failed"
    SHUTDOWN = "shutdown"
    FAILED = "failed"  # our fault


class Refusal(StrEnum):
    """Why a recipient or a message was not taken."""

    FOREIGN_RECIPIENT = "foreign_recipient"
    TOO_LARGE = "too_large"
    OVERLOAD = "overload"  # too many octets being received at once
    STORE_UNAVAILABLE = "store_unavailable"
    STORE_FULL = "store_full"
    INTERNAL_ERROR = "internal_error"


class Visitor(Protocol):
    """A session, as the door sees it."""

    def finish(self) -> None:
        """Leave as soon as no transaction is running."""

    def cut(self) -> None:
        """Leave now, unless a message is being stored: then after its answer."""

    def close(self) -> None:
        """Stop listening to a client that has had its last reply."""


class Limits:
    """The configured limits, in seconds and octets."""

    def __init__(self, config: Smtp) -> None:
        limits = config.limits
        self.message_bytes = config.max_message_bytes
        self.held_bytes = config.max_message_bytes * _HELD_MESSAGES
        self.connections = limits.connections
        self.fair_bytes = self.held_bytes // limits.connections  # small mail is never put off
        self.connections_per_network = limits.connections_per_network
        self.exempt = tuple(ipaddress.ip_network(network) for network in limits.exempt)
        self.recipients = limits.recipients
        self.messages = limits.messages
        self.errors = limits.errors
        self.idle = limits.idle.total_seconds()
        self.crowded_idle = min(self.idle, _CROWDED_IDLE_SECONDS)
        self.data_idle = limits.data_idle.total_seconds()
        self.session = limits.session.total_seconds()
        self.handshake = min(self.idle, _HANDSHAKE_SECONDS)
        # How often a session looks at its watch: one coarse timer is cheaper than one a command.
        self.tick = max(min(self.crowded_idle, self.data_idle, self.session) / 2, 0.01)


class Counts:
    """The door's metrics, their children looked up once."""

    def __init__(self, metrics: Metrics) -> None:
        self.sessions = metrics.smtp_sessions
        self.reply: Callable[[str, str], Callable[[], None]] = cache(
            lambda command, code: metrics.smtp_replies.labels(command, code).inc
        )
        self.outcome = {o: metrics.smtp_connections.labels(o.value).inc for o in Outcome}
        self.refused = {r: metrics.messages_refused.labels(r.value).inc for r in Refusal}
        self.new = metrics.messages_received.labels("smtp").inc
        self.duplicate = metrics.messages_received.labels("duplicate").inc
        self.store_seconds = metrics.message_store_seconds.observe


class Door:
    """One SMTP service, on one or more addresses."""

    def __init__(
        self,
        inbox: Inbox,
        config: Smtp,
        domains: Sequence[BounceDomain],
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self.inbox = inbox
        self.clock = clock
        self.counts = Counts(metrics)
        self._metrics = metrics
        self.configure(config, domains)
        self.stopping = False
        self.held = 0  # octets of messages not yet complete
        self.addresses: list[tuple[str, int]] = []
        self._servers: list[asyncio.Server] = []
        self._hurry = asyncio.Event()
        self._visitors: set[Visitor] = set()
        self._connected: set[Visitor] = set()
        self._networks: Counter[str] = Counter()
        self._empty = asyncio.Event()
        self._empty.set()

    def configure(self, config: Smtp, domains: Sequence[BounceDomain]) -> None:
        """What holds for sessions from now on; running ones keep their limits."""
        self.hostname = config.hostname
        self.limits = Limits(config)
        self.domains = frozenset(domain.bounce_domain for domain in domains)
        self.offers_tls = config.tls is not None
        self.tls = _tls(config, self._metrics)
        self._accept = config.drain_accept
        self._finish = config.drain_finish

    def opened(self, server: asyncio.Server) -> None:
        self._servers.append(server)
        self.addresses += [listener.getsockname()[:2] for listener in server.sockets]

    @property
    def crowded(self) -> bool:
        return len(self._connected) > self.limits.connections * _CROWDED

    def enter(self, visitor: Visitor, peer: str) -> str | None:
        """Counts a connection in; the reply that sends it away again, if it may not stay."""
        network = network_of(peer)
        self._networks[network] += 1
        self._connected.add(visitor)
        self._visitors.add(visitor)
        self._empty.clear()
        self.counts.sessions.inc()
        if self.stopping:
            return SHUTTING_DOWN
        if len(self._connected) > self.limits.connections:
            return "421 4.3.2 Too many connections, try again later"
        if self._networks[network] > self.limits.connections_per_network and not self._exempt(peer):
            return "421 4.7.0 Too many connections from your network, try again later"
        return None

    def left(self, visitor: Visitor, peer: str) -> None:
        """Counts a connection out, once; its session may still be storing."""
        if visitor not in self._connected:
            return
        self._connected.discard(visitor)
        network = network_of(peer)
        self._networks[network] -= 1
        if not self._networks[network]:
            del self._networks[network]
        self.counts.sessions.dec()

    def ended(self, visitor: Visitor) -> None:
        """The session is over: nothing of it is running any more."""
        self._visitors.discard(visitor)
        if not self._visitors:
            self._empty.set()

    async def drain(self, immediately: bool = False) -> None:
        """Ends the service; what is being stored gets its answer in any case."""
        if immediately:
            self._hurry.set()
        await self._wait(self._hurry, self._accept)
        self.stopping = True
        for visitor in tuple(self._visitors):
            visitor.finish()
        await self._wait_until_empty()
        for server in self._servers:
            server.close()
        for visitor in tuple(self._visitors):
            visitor.cut()
        await self._empty.wait()
        for visitor in tuple(self._connected):
            visitor.close()

    async def _wait_until_empty(self) -> None:
        waits = [asyncio.ensure_future(e.wait()) for e in (self._empty, self._hurry)]
        try:
            await asyncio.wait(
                waits,
                timeout=self._finish.total_seconds(),
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            for wait in waits:
                wait.cancel()

    @staticmethod
    async def _wait(event: asyncio.Event, span: timedelta) -> None:
        try:
            async with asyncio.timeout(span.total_seconds()):
                await event.wait()
        except TimeoutError:
            pass

    def _exempt(self, peer: str) -> bool:
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self.limits.exempt)


@lru_cache(maxsize=4096)
def network_of(peer: str) -> str:
    """Whom connections are counted for: an IPv4 address, an IPv6 /64."""
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv4Address):
        return peer
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))


def _tls(config: Smtp, metrics: Metrics) -> ssl.SSLContext | None:
    """None where TLS cannot be offered. Bounces come without it too, so that stops nothing."""
    if config.tls is None:
        metrics.tls_certificate_expiry.set(math.nan)
        return None
    try:
        context = certificate.server_context(config.tls)
        metrics.tls_certificate_expiry.set(certificate.expiry(config.tls.certificate).timestamp())
    except (OSError, ValueError) as error:
        log.error("STARTTLS is not offered: %s: %s", config.tls.certificate, error)
        metrics.tls_certificate_expiry.set(0)
        return None
    return context
