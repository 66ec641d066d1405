"""Asks DNS for the names of blocklists, and says how the asking ended. Knows no zone.

The name is built as RFC 5782 has it: IPv4 octets and IPv6 nibbles reversed, domains as they are,
and always type A. NXDOMAIN and an empty answer are answers; everything else that is no A record
is none. One question is one packet and its answer: who asks decides whether to ask again.
"""

import asyncio
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Literal, Protocol

import dns.asyncquery
import dns.exception
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rdtypes.IN.A
import dns.rdtypes.txtbase
import dns.resolver
import dns.rrset

from bouncer.config import parse_listen
from bouncer.errors import ConfigurationError

EDNS_BYTES = 1232
MAX_ALIASES = 4
MAX_IN_FLIGHT = 100
MAX_TEXT_CHARACTERS = 1024
MAX_RECORDS = 64

RecordType = Literal["A", "TXT"]
Server = tuple[str, int]


class Status(StrEnum):
    """How one question ended."""

    ANSWERED = "answered"  # with records, or definitely without
    SERVFAIL = "servfail"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Reply:
    """Addresses, or the strings of TXT records."""

    status: Status
    records: tuple[str, ...] = ()


class Ask(Protocol):
    """One question to one server: the seam for another way to send packets."""

    async def __call__(
        self, name: str, type_: RecordType, server: Server, timeout: float, /
    ) -> Reply: ...


def query_name(target: str, zone: str) -> str:
    """The name under which a zone has the target."""
    try:
        address = ipaddress.ip_address(target)
    except ValueError:
        return f"{target}.{zone}"
    if isinstance(address, ipaddress.IPv4Address):
        return ".".join([*reversed(str(address).split(".")), zone])
    # From the octets: the text of ::ffff:127.0.0.2 depends on who writes it.
    return ".".join([*reversed(address.packed.hex()), zone])


def servers_of(resolvers: Sequence[str]) -> tuple[Server, ...]:
    """The configured resolvers, or those of the system."""
    if resolvers:
        return tuple(parse_listen(resolver) for resolver in resolvers)
    try:
        system = dns.resolver.Resolver(configure=True)
    except dns.resolver.NoResolverConfiguration as error:
        raise ConfigurationError(
            'dnsbl.resolvers: this system names none: write resolvers: ["127.0.0.1:53"]'
        ) from error
    return tuple((str(server), system.port) for server in system.nameservers)


async def ask_dns(name: str, type_: RecordType, server: Server, timeout: float) -> Reply:
    """Asks over UDP, and over TCP if the answer was cut; follows aliases the server did not."""
    try:
        async with asyncio.timeout(timeout):
            for _ in range(MAX_ALIASES):
                response = await _exchange(name, type_, server, timeout)
                reply, alias = _read(response, type_)
                if alias is None:
                    return reply
                name = alias
    except (TimeoutError, dns.exception.Timeout):
        return Reply(Status.TIMEOUT)
    except (dns.exception.DNSException, OSError, EOFError, ValueError):
        return Reply(Status.OTHER)
    return Reply(Status.OTHER)


class Lookup:
    """The resolvers, asked in turn, with a bounded number of questions at a time."""

    def __init__(self, servers: Sequence[Server], timeout: timedelta, ask: Ask = ask_dns) -> None:
        self._servers = tuple(servers)
        self._timeout = timeout.total_seconds()
        self._ask = ask
        self._in_flight = asyncio.Semaphore(MAX_IN_FLIGHT)

    @property
    def has_second(self) -> bool:
        return len(self._servers) > 1

    async def ask(self, name: str, type_: RecordType, nth: int) -> Reply:
        """One question to the nth resolver, counted round and round."""
        server = self._servers[nth % len(self._servers)]
        async with self._in_flight:
            return await self._ask(name, type_, server, self._timeout)


async def _exchange(
    name: str, type_: RecordType, server: Server, timeout: float
) -> dns.message.Message:
    query = dns.message.make_query(name, type_, use_edns=0, payload=EDNS_BYTES)
    host, port = server
    # What has another id, question or sender is somebody else's: dropped, and waited on.
    response, _ = await dns.asyncquery.udp_with_fallback(
        query, host, timeout=timeout, port=port, ignore_unexpected=True, ignore_errors=True
    )
    return response


def _read(response: dns.message.Message, type_: RecordType) -> tuple[Reply, str | None]:
    """The reply, or the alias to ask for instead."""
    match response.rcode():
        case dns.rcode.NOERROR | dns.rcode.NXDOMAIN:
            pass
        case dns.rcode.SERVFAIL:
            return Reply(Status.SERVFAIL), None
        case dns.rcode.REFUSED:
            return Reply(Status.REFUSED), None
        case _:
            return Reply(Status.OTHER), None
    if not isinstance(response, dns.message.QueryMessage):
        return Reply(Status.OTHER), None
    chain = response.resolve_chaining()
    if chain.answer is not None:
        return Reply(Status.ANSWERED, _texts(chain.answer, type_)), None
    if chain.cnames and response.rcode() == dns.rcode.NOERROR:
        return Reply(Status.OTHER), chain.canonical_name.to_text()
    return Reply(Status.ANSWERED), None


def _texts(rrset: dns.rrset.RRset, type_: RecordType) -> tuple[str, ...]:
    records = []
    for record in list(rrset)[:MAX_RECORDS]:
        if type_ == "A" and isinstance(record, dns.rdtypes.IN.A.A):
            records.append(record.address)
        elif isinstance(record, dns.rdtypes.txtbase.TXTBase):
            records.append(_printable(b"".join(record.strings)))
    return tuple(records)


def _printable(octets: bytes) -> str:
    text = octets[: 4 * MAX_TEXT_CHARACTERS].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else " " for c in text)[:MAX_TEXT_CHARACTERS]
