"""The worker that watches blocklists: asks every zone about every target, and tells changes once.

A sweep asks a zone's test points first and believes nothing of a zone that fails them. An answer
that would be news is asked for again, after another look at the test points; then the listing and
its message are stored in one transaction. Nothing is told on the strength of silence.
"""

import asyncio
import logging
import random
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Protocol

from bouncer.clock import Clock
from bouncer.clock import now as wall_clock
from bouncer.config import Dnsbl, ZoneKind
from bouncer.dnsbl.check import check
from bouncer.dnsbl.client import clients
from bouncer.dnsbl.episode import is_change, shown_state, step
from bouncer.dnsbl.gauges import Gauges, Watch
from bouncer.dnsbl.health import Health, HealthState
from bouncer.dnsbl.lookup import Ask, ask_dns
from bouncer.dnsbl.targets import Target, targets_of
from bouncer.dnsbl.zones import KINDS, Answer, Outcome, warnings, zones_of
from bouncer.errors import StoreError
from bouncer.events import ListingState, Message
from bouncer.metrics import Metrics
from bouncer.records import Listing

__all__ = ["Listings", "check", "run", "shown_state"]

BATCH = 16
JITTER = 0.1
RETRY_STORE = timedelta(seconds=5)

log = logging.getLogger(__name__)
_chance = random.SystemRandom()


class Listings(Protocol):
    """What we need of the store."""

    async def all(self) -> list[Listing]: ...

    async def record(
        self, listing: Listing, before: Listing | None, message: Message | None
    ) -> bool: ...


async def run(
    listings: Listings, config: Dnsbl, metrics: Metrics, clock: Clock = wall_clock
) -> None:
    """Sweeps until it is cancelled. Raises ConfigurationError before the first sweep."""
    monitor = Monitor(listings, config, metrics, clock)
    loop = asyncio.get_running_loop()
    while True:
        started = loop.time()
        complete = await monitor.sweep()
        pause = config.interval * _chance.uniform(1 - JITTER, 1 + JITTER)
        if not complete:
            pause = min(pause, RETRY_STORE)
        await asyncio.sleep(max(0.0, started + pause.total_seconds() - loop.time()))


class Monitor:
    """What is asked of whom, and what is known of the zones."""

    def __init__(
        self,
        listings: Listings,
        config: Dnsbl,
        metrics: Metrics,
        clock: Clock = wall_clock,
        ask: Ask = ask_dns,
    ) -> None:
        self._listings = listings
        self._clock = clock
        self._gauges = Gauges(metrics, config.interval, clock())
        self._watches = self._watching(config, ask)
        self._gauges.introduce(self._watches)

    def _watching(self, config: Dnsbl, ask: Ask) -> list[Watch]:
        targets = targets_of(config.targets)
        zones = zones_of(config)
        if not targets:
            return []
        for warning in warnings(config):
            log.warning("%s", warning)
        watches = [
            Watch(client, tuple(t for t in targets if t.kind in client.zone.kinds))
            for client in clients(zones, config, self._gauges.query, ask)
        ]
        watches = [watch for watch in watches if watch.targets]
        labels = ", ".join(watch.zone.label for watch in watches)
        log.info("watching %s addresses and domains on %s", len(targets), labels or "no zone")
        return watches

    async def sweep(self) -> bool:
        """Asks everything once; False if the store went away meanwhile."""
        if not self._watches:
            return True
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            known = {(x.target, x.zone): x for x in await self._listings.all()}
        except StoreError as error:
            log.warning("blocklists wait for the store: %s", error)
            return False
        for watch in self._watches:
            self._gauges.targets(watch, known, self._clock())
        async with asyncio.TaskGroup() as tasks:
            zones = [
                tasks.create_task(self._zone(watch, known), name=f"dnsbl {watch.zone.label}")
                for watch in self._watches
            ]
        self._gauges.swept(loop.time() - started)
        return all(zone.result() for zone in zones)

    async def _zone(self, watch: Watch, known: dict[tuple[str, str], Listing]) -> bool:
        answered = 0
        try:
            for kind in KINDS:
                if targets := watch.of_kind(kind):
                    answered += await self._targets(watch, kind, targets, known)
        except StoreError as error:
            log.warning("blocklist %s waits for the store: %s", watch.zone.label, error)
            return False
        self._gauges.coverage(watch, answered)
        self._gauges.targets(watch, known, self._clock())
        return True

    async def _targets(
        self,
        watch: Watch,
        kind: ZoneKind,
        targets: Sequence[Target],
        known: dict[tuple[str, str], Listing],
    ) -> int:
        """How many were answered for good. A zone in doubt is not asked for the rest."""
        if not await self._believed(watch, kind):
            return 0
        answered = 0
        for batch in _batches(targets):
            answers = await asyncio.gather(*(watch.client.ask(t.name) for t in batch))
            pairs = list(zip(batch, answers, strict=True))
            if any(
                answer.outcome is Outcome.ERROR_CODE
                or is_change(known.get((target.name, watch.zone.label)), answer)
                for target, answer in pairs
            ) and not await self._believed(watch, kind):
                break
            settled = await asyncio.gather(
                *(self._settle(watch, target, answer, known) for target, answer in pairs),
                return_exceptions=True,  # all of them end before one is raised
            )
            answered += _counted(settled)
        return answered

    async def _believed(self, watch: Watch, kind: ZoneKind) -> bool:
        before = watch.health.get(kind, Health())
        fault = await watch.client.fault(kind)
        after = watch.health[kind] = before.after(fault)
        self._gauges.health(watch)
        if after.state is not before.state:
            if after.state is HealthState.QUARANTINED:
                log.warning("blocklist %s is not believed: %s", watch.zone.label, fault)
            elif before.state is HealthState.QUARANTINED:
                log.info("blocklist %s is believed again", watch.zone.label)
        return fault is None and after.believed

    async def _settle(
        self,
        watch: Watch,
        target: Target,
        answer: Answer,
        known: dict[tuple[str, str], Listing],
    ) -> bool:
        """Stores a definitive answer. What would be news has to be said twice."""
        key = (target.name, watch.zone.label)
        before = known.get(key)
        if is_change(before, answer):
            again = await watch.client.ask(target.name, first=1)
            if again.state is not answer.state:
                return False
            answer = again
        if answer.state is ListingState.UNKNOWN:
            return False
        text = await self._text(watch, target, answer, before)
        listing, message = step(before, watch.zone, target, answer, text, self._clock())
        if await self._listings.record(listing, before, message):
            known[key] = listing
            if message is not None:
                self._gauges.told(listing)
                log.info("%s is %s on %s", target.name, listing.state, watch.zone.label)
        return True

    async def _text(
        self, watch: Watch, target: Target, answer: Answer, before: Listing | None
    ) -> str | None:
        if answer.state is not ListingState.LISTED:
            return None
        if before and before.state is ListingState.LISTED and before.codes == answer.codes:
            return before.text
        return await watch.client.text(target.name)


def _counted(settled: Sequence[bool | BaseException]) -> int:
    for result in settled:
        if isinstance(result, BaseException):
            raise result
    return settled.count(True)


def _batches(targets: Sequence[Target]) -> Iterator[Sequence[Target]]:
    """In another order each time, so that no target is always the one left out."""
    order = _chance.sample(targets, len(targets))
    for start in range(0, len(order), BATCH):
        yield order[start : start + BATCH]
