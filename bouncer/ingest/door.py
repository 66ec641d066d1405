"""What the sessions of the SMTP door share: whom it takes mail for, its limits, how it is closed.

A `Door` knows every open connection, says whether one more may come in, and drains: it takes new
connections a little longer, then sends idle sessions away, lets running messages end, and leaves.
"""

import asyncio
import ipaddress
import logging
import math
import resource
import ssl
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache
from time import monotonic
from typing import Protocol

from bouncer.clock import Clock
from bouncer.config import BounceDomain, Smtp
from bouncer.ingest import certificate
from bouncer.ingest.listener import Listener
from bouncer.ingest.pace import Pace, Seldom
from bouncer.metrics import Metrics
from bouncer.records import Received

log = logging.getLogger(__name__)

Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]

_SPARE = 65_536  # raw octets over the message limit that we still read, to answer after the dot
_SAMPLE = 1000  # connections after which we look whether they all come from one private address

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
    OVERLOAD = "overload"  # too many octets of messages not yet answered
    STORE_UNAVAILABLE = "store_unavailable"
    STORE_FULL = "store_full"
    INTERNAL_ERROR = "internal_error"


class Visitor(Protocol):
    """A session, as the door sees it."""

    def finish(self) -> None:
        """Leave as soon as no transaction is running; one that does not come to DATA is none."""

    def cut(self) -> None:
        """Leave now, unless a message is being stored: then after its answer."""

    def close(self) -> None:
        """Stop listening to a client that has had its last reply."""


class Limits:
    """The configured limits, in seconds and octets."""

    def __init__(self, config: Smtp) -> None:
        limits = config.limits
        self.message_bytes = config.max_message_bytes
        self.raw_bytes = config.max_message_bytes + _SPARE
        self.held_bytes = max(limits.receiving_bytes, self.raw_bytes)
        self.connections = affordable(limits.connections, limits.reserved_files)
        self.crowded = self.connections * limits.crowded_percent / 100
        self.fair_bytes = self.held_bytes // self.connections  # small mail is never put off
        self.connections_per_network = limits.connections_per_network
        self.exempt = _networks(limits.exempt)
        self.recipients = limits.recipients
        self.excess_recipients = limits.excess_recipients
        self.messages = limits.messages
        self.errors = limits.errors
        self.idle_commands = limits.idle_commands
        self.idle = limits.idle.total_seconds()
        self.crowded_idle = min(self.idle, limits.crowded_idle.total_seconds())
        self.data_idle = limits.data_idle.total_seconds()
        self.data_rate = limits.data_rate
        self.session = limits.session.total_seconds()
        self.handshake = limits.handshake.total_seconds()
        self.proxy_header = limits.proxy_header.total_seconds()
        # How often a session looks at its watch: one coarse timer is cheaper than one a command.
        self.tick = max(min(self.crowded_idle, self.data_idle, self.session) / 2, 0.01)


class Counts:
    """The door's metrics, their children looked up once."""

    def __init__(self, metrics: Metrics) -> None:
        self.sessions = metrics.smtp_sessions
        self.replies = metrics.smtp_replies.counts
        self.outcome = {o: metrics.smtp_connections.labels(o.value).inc for o in Outcome}
        self.refused = {r: metrics.messages_refused.labels(r.value).inc for r in Refusal}
        self.new = metrics.messages_received.labels("smtp").inc
        self.duplicate = metrics.messages_received.labels("duplicate").inc
        # Human mail is finished when it is stored: nobody reads it as a report.
        self.human = metrics.messages_processed.labels("human", "human").inc
        self.store_seconds = metrics.message_store_seconds.observe


class Door:
    """One SMTP service, on one or more addresses."""

    def __init__(
        self,
        inbox: Inbox,
        config: Smtp,
        domains: Sequence[BounceDomain],
        metrics: Metrics,
        has_room: Callable[[], bool],
        clock: Clock,
    ) -> None:
        self.inbox = inbox
        self.clock = clock
        self.counts = Counts(metrics)
        self.seldom = Seldom(log)
        self._has_room = has_room
        self._metrics = metrics
        self.configure(config, domains)
        self.stopping = False
        self.held = 0  # octets of messages not yet answered
        self.addresses: list[tuple[str, int]] = []
        self._listeners: list[Listener] = []
        self._hurry = asyncio.Event()
        self._visitors: set[Visitor] = set()
        self._connected: dict[Visitor, str | None] = {}  # and the network each is counted for
        self._networks: Counter[str] = Counter()
        self._sample: Counter[str] = Counter()
        self._empty = asyncio.Event()
        self._empty.set()

    def configure(self, config: Smtp, domains: Sequence[BounceDomain]) -> None:
        """What holds for sessions from now on; running ones keep their limits."""
        self.limits = Limits(config)  # first, as the system may refuse the descriptors
        self.hostname = config.hostname
        self.domains = frozenset(domain.bounce_domain for domain in domains)
        self.offers_tls = config.tls is not None
        self.requires_tls = config.tls is not None and config.tls.require
        self.tls = _tls(config, self._metrics)
        self._pace = Pace(config.limits.new_connections, config.limits.new_connections_burst)
        self._proxies = _networks(config.proxy_protocol_from)
        self._accept = config.drain_accept
        self._finish = config.drain_finish

    def opened(self, listener: Listener) -> None:
        self._listeners.append(listener)
        self.addresses.append(listener.address)

    @property
    def crowded(self) -> bool:
        return len(self._connected) > self.limits.crowded

    def has_room(self) -> bool:
        """Whether the store could keep a message now; if not, the log says so now and then."""
        if self._has_room():
            return True
        self.seldom.warn("room", monotonic(), "mail is put off: the store has no room for it")
        return False

    def is_proxy(self, peer: str) -> bool:
        """Whether this is a load balancer that has to say for whom it connects."""
        return bool(self._proxies) and _within(peer, self._proxies)

    def refusal(self) -> str | None:
        """What is said to whoever connects now; None: come in."""
        if self.stopping:
            return SHUTTING_DOWN
        if len(self._connected) >= self.limits.connections:
            return "421 4.3.2 Too many connections, try again later"
        return None

    def refusal_of(self, peer: str) -> str | None:
        """The same for a client of this address; who may come in is counted as having done so."""
        if self.limits.exempt and _within(peer, self.limits.exempt):
            return None
        network = network_of(peer)
        self._sample_of(network)
        if self._networks[network] >= self.limits.connections_per_network:
            return "421 4.7.0 Too many connections from your network, try again later"
        if not self._pace.admits(network, monotonic()):
            return "421 4.7.0 Too many new connections from your network, try again later"
        return None

    def turned_away(self, peer: str, reply: str) -> Outcome:
        """What became of a client that may not come in; the log tells of it now and then."""
        self.counts.replies["connect", reply[:3]] += 1
        if self.stopping:
            return Outcome.SHUTDOWN
        self.seldom.warn(network_of(peer), monotonic(), "turned away %s: %s", peer, reply)
        return Outcome.CROWDED

    def enter(self, visitor: Visitor, peer: str | None) -> None:
        """Counts a connection in; of a proxy, which is `None` yet, `claim` says whose it is."""
        self._connected[visitor] = None
        self._visitors.add(visitor)
        self._empty.clear()
        self.counts.sessions.inc()
        if peer is not None:
            self.claim(visitor, peer)

    def claim(self, visitor: Visitor, peer: str) -> None:
        """Counts a connection for its client's network."""
        network = network_of(peer)
        self._connected[visitor] = network
        self._networks[network] += 1

    def left(self, visitor: Visitor) -> None:
        """Counts a connection out, once; its session may still be storing."""
        if visitor not in self._connected:
            return
        network = self._connected.pop(visitor)
        if network is not None:
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
        while self._listeners:
            self._listeners.pop().close()
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

    def _sample_of(self, network: str) -> None:
        """Sees that a load balancer hides whom it connects for: then all share one's limits."""
        self._sample[network] += 1
        if self._sample.total() < _SAMPLE:
            return
        [(most, times)] = self._sample.most_common(1)
        self._sample.clear()
        address = _address(most)
        if times > _SAMPLE * 0.9 and address and address.is_private and not address.is_loopback:
            self.seldom.warn(
                "one for all",
                monotonic(),
                "nearly every connection comes from %s: if that is a load balancer, its clients "
                "share the limits of one; see smtp.proxy_protocol_from",
                most,
            )


@lru_cache(maxsize=4096)
def network_of(peer: str) -> str:
    """Whom connections are counted for: an IPv4 address, an IPv6 /64."""
    address = _address(peer)
    if address is None:
        return peer
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False))


def affordable(connections: int, reserved: int) -> int:
    """How many connections the process has file descriptors for, when so many are for the rest."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + reserved
    if soft == resource.RLIM_INFINITY or needed <= soft:
        return connections
    if hard == resource.RLIM_INFINITY or hard > soft:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    fewer = min(connections, max(soft - min(reserved, soft // 2), 1))
    if fewer < connections:
        log.warning(
            "smtp.limits.connections is %d, and only %d are taken at once: `ulimit -n` is %d, and "
            "%d more are needed for the rest",
            connections,
            fewer,
            soft,
            min(reserved, soft // 2),
        )
    return fewer


def _networks(names: Sequence[str]) -> Networks:
    return tuple(ipaddress.ip_network(name) for name in names)


def _within(peer: str, networks: Networks) -> bool:
    address = _address(peer)
    return address is not None and any(address in network for network in networks)


@lru_cache(maxsize=4096)
def _address(peer: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(peer.partition("%")[0].partition("/")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _tls(config: Smtp, metrics: Metrics) -> ssl.SSLContext | None:
    """None where TLS cannot be offered. Bounces come without it too, so that stops nothing."""
    if config.tls is None:
        metrics.tls_certificate_expiry.set(math.nan)
        return None
    try:
        context = certificate.server_context(config.tls)
        metrics.tls_certificate_expiry.set(certificate.expiry(config.tls.certificate).timestamp())
    except (OSError, ValueError) as error:
        log.error("TLS is not offered: %s: %s", config.tls.certificate, error)
        metrics.tls_certificate_expiry.set(0)
        return None
    return context
