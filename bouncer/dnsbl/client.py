"""Asks one zone about targets and about itself: in its pace, twice if need be, and in its words."""

import secrets
import time
from collections.abc import Iterable
from enum import StrEnum
from typing import Protocol

from bouncer.config import Dnsbl, ZoneKind
from bouncer.dnsbl.lookup import (
    Ask,
    Lookup,
    RecordType,
    Reply,
    Status,
    ask_dns,
    query_name,
    servers_of,
)
from bouncer.dnsbl.rate import TokenBucket
from bouncer.dnsbl.zones import Answer, Outcome, Zone

TRIES = 2
_KEY_REJECTED = frozenset({"127.255.255.250", "127.255.255.251"})
_FAILURES = {
    Status.SERVFAIL: Answer(Outcome.SERVFAIL, reason="the resolver or the zone failed (SERVFAIL)"),
    Status.REFUSED: Answer(Outcome.REFUSED, reason="the question was refused (REFUSED)"),
    Status.TIMEOUT: Answer(Outcome.TIMEOUT, reason="no answer in time"),
    Status.OTHER: Answer(Outcome.OTHER, reason="no usable answer"),
}


class Cause(StrEnum):
    """Why a zone is not believed."""

    LISTS_ALL = "dead-listing-all"
    EMPTY = "dead-empty"
    PARKED = "parked"
    RESOLVER_BLOCKED = "resolver-blocked"
    KEY_REJECTED = "key-rejected"
    UNREACHABLE = "unreachable"
    WRONG_TEST_ANSWER = "wrong-test-answer"


class Observe(Protocol):
    """Told of every question: how it ended (None for a text) and how long it took."""

    def __call__(self, zone: Zone, outcome: Outcome | None, seconds: float) -> None: ...


def unobserved(zone: Zone, outcome: Outcome | None, seconds: float) -> None:
    """For a one-off check, which counts nothing."""


class ZoneClient:
    """A zone, the resolvers, and the pace at which they may be asked."""

    def __init__(
        self, zone: Zone, lookup: Lookup, paces: Iterable[TokenBucket], observe: Observe
    ) -> None:
        self.zone = zone
        self._lookup = lookup
        self._paces = tuple(paces)
        self._observe = observe

    async def ask(self, target: str, *, first: int = 0) -> Answer:
        """What the zone says of a target. `first` is the resolver that is asked first."""
        answer = _FAILURES[Status.OTHER]
        for nth in range(first, first + TRIES):
            reply, seconds = await self._reply(target, "A", nth)
            answer = self._answer(reply)
            self._observe(self.zone, answer.outcome, seconds)
            if reply.status is Status.ANSWERED:
                break
        return answer

    async def text(self, target: str) -> str | None:
        """What the zone writes about a listed target, without the operator's key."""
        for nth in range(TRIES):
            reply, seconds = await self._reply(target, "TXT", nth)
            self._observe(self.zone, None, seconds)
            if reply.status is Status.ANSWERED:
                return self.zone.masked(" / ".join(sorted(reply.records))) or None
        return None

    async def fault(self, kind: ZoneKind) -> Cause | None:
        """Asks the zone's test points (RFC 5782, section 5); None when it can be believed."""
        cause = await self._fault(kind, first=0)
        if cause in (None, Cause.UNREACHABLE) or not self._lookup.has_second:
            return cause
        # A list that is well at another resolver is not dead: it is the first that is blocked.
        return cause if await self._fault(kind, first=1) else Cause.RESOLVER_BLOCKED

    async def _fault(self, kind: ZoneKind, first: int) -> Cause | None:
        test = self.zone.tests[kind]
        for point in test.listed:
            answer = await self.ask(point, first=first)
            if cause := _silent(answer) or _wrong(answer, test.answer):
                return cause
        for point in test.clear:
            answer = await self.ask(point, first=first)
            if answer.outcome is not Outcome.CLEAR or answer.records:
                return _silent(answer) or Cause.LISTS_ALL
        if test.random:
            # Nobody has listed this name: a wildcard answers it, also one that knows 127.0.0.1.
            answer = await self.ask(secrets.token_hex(10), first=first)
            if answer.records:
                return _silent(answer) or Cause.LISTS_ALL
        return None

    async def _reply(self, target: str, type_: RecordType, nth: int) -> tuple[Reply, float]:
        for pace in self._paces:
            await pace.take()
        started = time.monotonic()
        reply = await self._lookup.ask(query_name(target, self.zone.query), type_, nth)
        return reply, time.monotonic() - started

    def _answer(self, reply: Reply) -> Answer:
        return _FAILURES.get(reply.status) or self.zone.read(reply.records)


def clients(
    zones: Iterable[Zone], config: Dnsbl, observe: Observe, ask: Ask = ask_dns
) -> tuple[ZoneClient, ...]:
    """One client for each zone, all within the pace of the whole."""
    lookup = Lookup(servers_of(config.resolvers), config.timeout, ask)
    whole = TokenBucket(config.queries_per_second)
    return tuple(
        ZoneClient(zone, lookup, (TokenBucket(config.zone_queries_per_second), whole), observe)
        for zone in zones
    )


def _silent(answer: Answer) -> Cause | None:
    match answer.outcome:
        case Outcome.ERROR_CODE if not _KEY_REJECTED.isdisjoint(answer.records):
            return Cause.KEY_REJECTED
        case Outcome.ERROR_CODE | Outcome.REFUSED:
            return Cause.RESOLVER_BLOCKED
        case Outcome.BOGUS:
            return Cause.PARKED
        case Outcome.SERVFAIL | Outcome.TIMEOUT:
            return Cause.UNREACHABLE
        case Outcome.OTHER if not answer.records:
            return Cause.UNREACHABLE
        case _:
            return None


def _wrong(answer: Answer, expected: tuple[str, ...]) -> Cause | None:
    """A test point may answer a code of its own: any will do unless the zone says which."""
    if not answer.records:
        return Cause.EMPTY
    if expected and set(expected).isdisjoint(answer.records):
        return Cause.WRONG_TEST_ANSWER
    return None
