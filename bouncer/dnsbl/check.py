"""A one-off look at targets, for the command line and the API. Nothing is stored or told."""

import asyncio
from collections.abc import Sequence

from bouncer.config import Dnsbl, ZoneKind
from bouncer.dnsbl.client import Cause, ZoneClient, clients, unobserved
from bouncer.dnsbl.targets import Target, targets_of
from bouncer.dnsbl.zones import KINDS, zones_of
from bouncer.events import ListingState, Published, Severity

MAX_CHECKED = 256


class Checked(Published):
    """What one zone says of one target now."""

    target: str
    range: str | None = None
    zone: str
    state: ListingState
    codes: tuple[str, ...] = ()
    meaning: str | None = None
    severity: Severity | None = None
    text: str | None = None
    lookup_url: str | None = None
    reason: str | None = None


async def check(targets: Sequence[str], config: Dnsbl) -> list[Checked]:
    """Asks the configured zones, or those that everybody may ask, about these targets.

    The targets of the configuration play no part. ConfigurationError says what cannot be used.
    """
    asked = targets_of(targets, "target", at_most=MAX_CHECKED)
    async with asyncio.TaskGroup() as tasks:
        zones = [
            tasks.create_task(_zone(client, asked), name=f"check {client.zone.label}")
            for client in clients(zones_of(config), config, unobserved)
        ]
    found = [checked for zone in zones for checked in zone.result()]
    order = {target.name: position for position, target in enumerate(asked)}
    return sorted(found, key=lambda checked: order[checked.target])


async def _zone(client: ZoneClient, targets: Sequence[Target]) -> list[Checked]:
    found: list[Checked] = []
    for kind in KINDS:
        of_kind = [target for target in targets if target.kind == kind]
        if kind in client.zone.kinds and of_kind:
            found += await _of_kind(client, kind, of_kind)
    return found


async def _of_kind(client: ZoneClient, kind: ZoneKind, targets: Sequence[Target]) -> list[Checked]:
    if fault := await client.fault(kind):
        return [_doubted(client, target, fault) for target in targets]
    return list(await asyncio.gather(*(_one(client, target) for target in targets)))


def _doubted(client: ZoneClient, target: Target, fault: Cause) -> Checked:
    return Checked(
        target=target.name,
        range=target.range,
        zone=client.zone.label,
        state=ListingState.UNKNOWN,
        reason=f"the zone failed its self-test: {fault}",
    )


async def _one(client: ZoneClient, target: Target) -> Checked:
    answer = await client.ask(target.name)
    listed = answer.state is ListingState.LISTED
    return Checked(
        target=target.name,
        range=target.range,
        zone=client.zone.label,
        state=answer.state,
        codes=answer.codes,
        meaning=answer.meaning,
        severity=answer.severity,
        text=await client.text(target.name) if listed else None,
        lookup_url=client.zone.lookup_url(target.name) if listed else None,
        reason=answer.reason,
    )
