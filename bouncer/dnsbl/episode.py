"""How an answer changes what is known of a target on a zone, and what is told of it. Pure.

Only listed and clear answers come here: unknown changes nothing.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from bouncer.dnsbl.targets import Target
from bouncer.dnsbl.zones import Answer, Zone
from bouncer.events import DnsblDelisted, DnsblListed, ListingState, Message
from bouncer.records import Listing

STALE_AFTER_INTERVALS = 3


def shown_state(listing: Listing, interval: timedelta, now: datetime) -> ListingState:
    """What to show of it: an answer that has become too old is no answer."""
    if now - listing.checked_at > STALE_AFTER_INTERVALS * interval:
        return ListingState.UNKNOWN
    return listing.state


def is_change(before: Listing | None, answer: Answer) -> bool:
    """Whether somebody is to be told of this answer."""
    was_listed = before is not None and before.state is ListingState.LISTED
    match answer.state:
        case ListingState.LISTED:
            return not was_listed
        case ListingState.CLEAR:
            return was_listed
        case ListingState.UNKNOWN:
            return False


def step(
    before: Listing | None,
    zone: Zone,
    target: Target,
    answer: Answer,
    text: str | None,
    now: datetime,
) -> tuple[Listing, Message | None]:
    """The listing after the answer, and the message if that is news."""
    told = is_change(before, answer)
    if answer.state is ListingState.LISTED:
        listing = _listed(before, zone, target, answer, text, now)
        baseline = before is None
        message = DnsblListed(timestamp=now, data=listing.change(baseline=baseline))
        return listing, message if told else None
    listing = _clear(before, zone, target, now)
    return listing, DnsblDelisted(timestamp=now, data=listing.change()) if told else None


def _listed(
    before: Listing | None,
    zone: Zone,
    target: Target,
    answer: Answer,
    text: str | None,
    now: datetime,
) -> Listing:
    going_on = before is not None and before.state is ListingState.LISTED
    episode = before.episode if before else 0
    return Listing(
        target=target.name,
        range=target.range,
        zone=zone.label,
        state=ListingState.LISTED,
        codes=answer.codes,
        meaning=answer.meaning,
        severity=answer.severity or zone.severity,
        text=text,
        lookup_url=zone.lookup_url(target.name),
        first_seen=before.first_seen if before and going_on else now,
        last_seen=now,
        checked_at=now,
        episode=episode if going_on else episode + 1,
    )


def _clear(before: Listing | None, zone: Zone, target: Target, now: datetime) -> Listing:
    if before is None:
        return Listing(
            target=target.name,
            range=target.range,
            zone=zone.label,
            state=ListingState.CLEAR,
            codes=(),
            meaning=None,
            severity=zone.severity,
            text=None,
            lookup_url=zone.lookup_url(target.name),
            first_seen=None,
            last_seen=None,
            checked_at=now,
        )
    ended = before.state is ListingState.LISTED
    return replace(
        before,
        range=target.range,
        state=ListingState.CLEAR,
        checked_at=now,
        delisted_at=now if ended else before.delisted_at,
    )
