"""What a message says when it is read again, held against what is stored of it.

Pure: the events that change, and what becomes of suppressions whose evidence changes. The ruleset's
version alone is no change: an event carries the version that gave it its present form.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from bouncer.events import Event, SuppressionReason
from bouncer.mail.address import address_key
from bouncer.records import InboxItem, Suppression
from bouncer.suppression import suppression_for

PIPELINE = "pipeline"  # the source of a suppression that stands and falls with its evidence
_NO_CHANGE = {"ruleset"}


@dataclass(frozen=True, slots=True)
class Amendment:
    """A stored message and its events as they are read today."""

    item: InboxItem
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """An event that changes: `before` None is a new one, `after` None one that vanishes."""

    id: str
    before: Event | None
    after: Event | None

    @property
    def fields(self) -> tuple[str, ...]:
        """What is different, in the order of an event; nothing for one that comes or goes."""
        if self.before is None or self.after is None:
            return ()
        return tuple(_differing(self.before, self.after))

    @property
    def moves_evidence(self) -> bool:
        """Whether it suppresses otherwise than before."""
        return _suppressed(self.before) != _suppressed(self.after)


@dataclass(frozen=True, slots=True)
class Evidence:
    """An event that calls for a suppression. `sending_domain` is the event's."""

    event: str
    address: str
    reason: SuppressionReason
    sending_domain: str | None
    received_at: datetime

    def speaks_for(self, entry: Suppression) -> bool:
        """Whether the entry rests on it, as `events` of the entry lists it."""
        return (
            self.address == entry.address
            and self.reason is entry.reason
            and self.received_at >= entry.since
            and entry.sending_domain in (None, self.sending_domain)
        )

    def covered_by(self, entry: Suppression) -> bool:
        """Whether the entry made one of its own superfluous."""
        return self.received_at >= entry.since and entry.sending_domain in (
            None,
            self.suppression().sending_domain,
        )

    def suppression(self) -> Suppression:
        """What it calls for."""
        for_all = self.reason is SuppressionReason.COMPLAINT
        return Suppression(
            address=self.address,
            sending_domain=None if for_all else self.sending_domain,
            reason=self.reason,
            source=PIPELINE,
            since=self.received_at,
            events=(self.event,),
        )


@dataclass(frozen=True, slots=True)
class Amended:
    """What replaying some messages changes, or would change."""

    changes: tuple[Change, ...] = ()
    lost: tuple[Evidence, ...] = ()
    gained: tuple[Evidence, ...] = ()
    items: frozenset[str] = frozenset()  # whose events change
    removed: tuple[Suppression, ...] = ()
    added: tuple[Suppression, ...] = ()


def changes_of(before: Sequence[Event], after: Sequence[Event]) -> tuple[Change, ...]:
    """What is different between two readings of one message, both in order of position."""
    old = {event.id: event for event in before}
    new = {event.id: event for event in after}
    return tuple(
        Change(id_, old.get(id_), new.get(id_))
        for id_ in dict.fromkeys([*old, *new])
        if id_ not in old or id_ not in new or any(_differing(old[id_], new[id_]))
    )


def falling(
    entries: Iterable[Suppression], lost: Collection[Evidence], left: Collection[Evidence]
) -> list[Suppression]:
    """The entries that stood on lost evidence alone.

    Nobody knows what the event said that made an entry if it is forgotten by now: unless that very
    event is among the lost, the entry stays. What people have put is theirs to remove.
    """
    return [
        entry
        for entry in entries
        if entry.source == PIPELINE
        and any(e.speaks_for(entry) and e.received_at == entry.since for e in lost)
        and not any(e.speaks_for(entry) for e in left)
    ]


def still_wanted(fallen: Sequence[Suppression], left: Iterable[Evidence]) -> list[Suppression]:
    """What other evidence calls for that a fallen entry had covered: an unsubscribe, say.

    What it had not covered had an entry of its own; where that is gone, somebody removed it.
    """
    of_address: dict[str, list[Suppression]] = {}
    for entry in fallen:
        of_address.setdefault(entry.address, []).append(entry)
    return [
        evidence.suppression()
        for evidence in sorted(left, key=lambda e: (e.received_at, e.event))
        if any(evidence.covered_by(entry) for entry in of_address.get(evidence.address, ()))
    ]


def uncovered(wanted: Iterable[Suppression], standing: Iterable[Suppression]) -> list[Suppression]:
    """Those that no standing entry, and none before them, says already or wider.

    They are for good, as evidence wants them: an entry that ends some day covers none.
    """
    known = {(entry.address, entry.sending_domain) for entry in standing if entry.until is None}
    new = []
    for entry in wanted:
        if known.isdisjoint({(entry.address, entry.sending_domain), (entry.address, None)}):
            known.add((entry.address, entry.sending_domain))
            new.append(entry)
    return new


def evidence_of(event: Event) -> Evidence | None:
    """What an event calls for, as evidence."""
    suppression = suppression_for(event)
    if suppression is None:
        return None
    return Evidence(
        event=event.id,
        address=address_key(suppression.address),
        reason=suppression.reason,
        sending_domain=event.sending_domain.lower() if event.sending_domain else None,
        received_at=event.received_at,
    )


def _differing(old: Event, new: Event) -> Iterable[str]:
    return (
        field
        for field in Event.model_fields
        if field not in _NO_CHANGE and getattr(old, field) != getattr(new, field)
    )


def _suppressed(event: Event | None) -> Evidence | None:
    return evidence_of(event) if event else None
