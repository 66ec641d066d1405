"""Events amended by a replay, and what they said before.

One transaction amends the events of some messages, keeps their old versions, and lets suppressions
follow. What is there is read again inside of it, so that twice is the same as once, whoever else
replays. An event that a message no longer gives is a version only.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, Select, Table, delete, func, insert, select

from bouncer.amendment import (
    Amended,
    Amendment,
    Change,
    Evidence,
    changes_of,
    evidence_of,
    falling,
    still_wanted,
    uncovered,
)
from bouncer.errors import StoreFull
from bouncer.events import Event, Message, SuppressionReason, message_for
from bouncer.records import ItemState, Suppression, event_id
from bouncer.store.database import Database
from bouncer.store.events import event_row
from bouncer.store.outbox import Outbox, add_deliveries
from bouncer.store.schema import event_versions, events
from bouncer.store.statements import Insert
from bouncer.store.stored import end_quarantine, lock_stored
from bouncer.store.suppressions import Suppressions, entries_of
from bouncer.store.text import clean, clean_event
from bouncer.suppression import suppression_for

_AT_ONCE = 500  # values in one statement
_MAX_EVENTS = 20  # named with a suppression that fell away
_WRITE = Insert(
    events,
    lambda insert: insert.on_conflict_do_update(
        index_elements=[events.c.id],
        set_={column: insert.excluded[column.key] for column in events.c if not column.primary_key},
    ),
)
_EVIDENCE = ("suppressed_address", "suppression_reason")


@dataclass(frozen=True, slots=True)
class Version:
    """What an event said, until a replay under another ruleset read it otherwise."""

    version: int  # from 1, as it was stored first
    event: Event
    replaced_at: datetime
    replaced_by: str  # the ruleset


@dataclass(frozen=True, slots=True)
class Followed:
    """Suppressions that follow from amended events."""

    removed: tuple[Suppression, ...] = ()
    added: tuple[Suppression, ...] = ()


class History:
    """Written by `bouncer replay` alone."""

    def __init__(
        self,
        database: Database,
        suppressions: Suppressions,
        outbox: Outbox,
        has_room: Callable[[], bool],
    ) -> None:
        self._database = database
        self._has_room = has_room
        self._suppressions = suppressions
        self._outbox = outbox

    async def compare(self, amendments: Sequence[Amendment]) -> Amended:
        """What amending would change; suppressions are left out: see `would_follow`."""
        return await self._database.read(
            lambda connection: _difference(amendments, _stored(connection, amendments))
        )

    async def amend(self, amendments: Sequence[Amendment], ruleset: str, now: datetime) -> Amended:
        """Makes these the events of their messages, and says what that changed.

        A quarantined message is done after this. Webhooks tell of suppressions, and of the events
        of messages that were quarantined: nobody was told of those. Raises StoreFull as `receive`.
        """
        if not self._has_room():
            raise StoreFull("the disk has no more room than its reserve")
        amended = await self._database.write(self._amend, (amendments, ruleset, now))
        if amended.changes:
            self._outbox.waiting.set()
        return amended

    async def would_follow(
        self, lost: Sequence[Evidence], gained: Sequence[Evidence], now: datetime
    ) -> Followed:
        """What would become of suppressions if this evidence went and came."""
        goes, comes = _by_address(lost), _by_address(gained)
        removed: list[Suppression] = []
        added: list[Suppression] = []
        for addresses in _chunks(sorted({*goes, *comes})):
            going = [e for address in addresses for e in goes.get(address, ())]
            coming = [e for address in addresses for e in comes.get(address, ())]
            work = partial(_foreseen, addresses=addresses, lost=going, gained=coming, now=now)
            followed = await self._database.read(work)
            removed += followed.removed
            added += followed.added
        return Followed(tuple(removed), tuple(added))

    async def versions(self, event: str) -> list[Version]:
        """What this event said before, the oldest first."""
        query = (
            select(event_versions)
            .where(event_versions.c.event_id == clean(event))
            .order_by(event_versions.c.version)
        )
        rows = await self._database.read(lambda c: c.execute(query).all())
        return [
            Version(
                version=row.version,
                event=Event.model_validate_json(row.data),
                replaced_at=row.replaced_at,
                replaced_by=row.replaced_by,
            )
            for row in rows
        ]

    async def expire(self, before: datetime, limit: int) -> int:
        """Forgets versions of events received before, so many events at most."""
        return await self._database.write(_expire, (before, limit))

    def _amend(
        self, connection: Connection, calls: Sequence[tuple[Sequence[Amendment], str, datetime]]
    ) -> list[Amended]:
        return [self._amend_some(connection, *call) for call in calls]

    def _amend_some(
        self,
        connection: Connection,
        amendments: Sequence[Amendment],
        ruleset: str,
        now: datetime,
    ) -> Amended:
        states = lock_stored(connection, [each.item.id for each in amendments])
        standing = [each for each in amendments if each.item.id in states]
        stored = _stored(connection, standing)
        amended = _difference(standing, stored)
        _keep(connection, amended.changes, stored, ruleset, now)
        _write(connection, amended.changes, stored)
        followed = self._follow(connection, amended, now)
        freed = [id_ for id_, state in states.items() if state is ItemState.QUARANTINED]
        end_quarantine(connection, freed, now)
        self._tell(
            connection, [e for each in standing if each.item.id in freed for e in each.events], now
        )
        return replace(amended, removed=followed.removed, added=followed.added)

    def _follow(self, connection: Connection, amended: Amended, now: datetime) -> Followed:
        removed: list[Suppression] = []
        wanted = [evidence.suppression() for evidence in amended.gained]
        for addresses in _chunks(sorted({evidence.address for evidence in amended.lost})):
            entries = entries_of(connection, addresses, now, lock=True)
            left = _evidence(connection, events, addresses)
            gone = _evidence(connection, event_versions, addresses)
            fallen = [_naming(entry, gone) for entry in falling(entries, gone, left)]
            removed += fallen
            wanted += still_wanted(fallen, left)
        self._suppressions.lift(connection, removed, now)
        wanted.sort(key=lambda each: each.since)
        new = self._suppressions.add(connection, [(each, now) for each in wanted], amended=True)
        added = [each for each, is_new in zip(wanted, new, strict=True) if is_new]
        return Followed(tuple(removed), tuple(added))

    def _tell(self, connection: Connection, found: Sequence[Event], now: datetime) -> None:
        told: list[tuple[Message, str]] = []
        for event in found:
            message = message_for(clean_event(event)[0], now)
            if message is not None:
                told.append((message, event.id))
        add_deliveries(connection, self._outbox.owed(told))


@dataclass(frozen=True, slots=True)
class _Stored:
    """An event as it is in the table, and what it suppressed."""

    event: Event
    data: str
    suppressed_address: str | None
    suppression_reason: str | None

    def evidence(self) -> Evidence | None:
        if self.suppressed_address is None or self.suppression_reason is None:
            return None
        return Evidence(
            event=self.event.id,
            address=self.suppressed_address,
            reason=SuppressionReason(self.suppression_reason),
            sending_domain=_domain(self.event),
            received_at=self.event.received_at,
        )


def _stored(connection: Connection, amendments: Sequence[Amendment]) -> dict[str, _Stored]:
    """The events that are stored of these messages, by id.

    Asked for by position, one more than the message has today, and on while there are more.
    """
    found: dict[str, _Stored] = {}
    wanted = {each.item.id: range(len(each.events) + 1) for each in amendments}
    while wanted:
        ids = [event_id(item, n) for item, positions in wanted.items() for n in positions]
        for some in _chunks(ids):
            query = select(
                events.c.id, events.c.data, *(events.c[name] for name in _EVIDENCE)
            ).where(events.c.id.in_(some))
            for id_, data, address, reason in connection.execute(query):
                found[id_] = _Stored(Event.model_validate_json(data), data, address, reason)
        wanted = {
            item: range(positions.stop, 2 * positions.stop)
            for item, positions in wanted.items()
            if event_id(item, positions.stop - 1) in found
        }
    return found


def _difference(amendments: Sequence[Amendment], stored: Mapping[str, _Stored]) -> Amended:
    of_item: dict[str, list[Event]] = {}
    for id_, each in stored.items():
        of_item.setdefault(id_.rpartition("-")[0], []).append(each.event)
    changes: list[Change] = []
    items = set()
    for amendment in amendments:
        read = [clean_event(event)[0] for event in amendment.events]
        different = changes_of(of_item.get(amendment.item.id, ()), read)
        changes += different
        if different:
            items.add(amendment.item.id)
    moved = [change for change in changes if change.moves_evidence]
    lost = (stored[change.id].evidence() for change in moved if change.before)
    gained = (evidence_of(change.after) for change in moved if change.after)
    return Amended(
        changes=tuple(changes),
        lost=tuple(evidence for evidence in lost if evidence),
        gained=tuple(evidence for evidence in gained if evidence),
        items=frozenset(items),
    )


def _keep(
    connection: Connection,
    changes: Sequence[Change],
    stored: Mapping[str, _Stored],
    ruleset: str,
    now: datetime,
) -> None:
    """Writes down what the events said."""
    old = [change.before for change in changes if change.before]
    versions = _versions(connection, [event.id for event in old])
    rows = [
        {
            "event_id": event.id,
            "version": versions.get(event.id, 0) + 1,
            "received_at": event.received_at,
            "replaced_at": now,
            "ruleset": event.ruleset,
            "replaced_by": ruleset,
            "sending_domain": _domain(event),
            "suppressed_address": stored[event.id].suppressed_address,
            "suppression_reason": stored[event.id].suppression_reason,
            "data": stored[event.id].data,
        }
        for event in old
    ]
    if rows:
        connection.execute(insert(event_versions), rows)


def _versions(connection: Connection, ids: Sequence[str]) -> dict[str, int]:
    """How many versions are kept of each of these events."""
    found: dict[str, int] = {}
    for some in _chunks(ids):
        query = (
            select(event_versions.c.event_id, func.max(event_versions.c.version))
            .where(event_versions.c.event_id.in_(some))
            .group_by(event_versions.c.event_id)
        )
        found.update((row[0], row[1]) for row in connection.execute(query))
    return found


def _write(
    connection: Connection, changes: Sequence[Change], stored: Mapping[str, _Stored]
) -> None:
    rows = [_row(change, change.after, stored) for change in changes if change.after]
    if rows:
        connection.execute(_WRITE.on(connection), sorted(rows, key=lambda row: str(row["id"])))
    for some in _chunks([change.id for change in changes if change.after is None]):
        connection.execute(delete(events).where(events.c.id.in_(some)))


def _row(change: Change, after: Event, stored: Mapping[str, _Stored]) -> dict[str, Any]:
    event, written = clean_event(after)
    row = event_row(event, written, suppression_for(event))
    if change.before and not change.moves_evidence:
        before = stored[change.id]
        row |= {name: getattr(before, name) for name in _EVIDENCE}
    return row


def _foreseen(
    connection: Connection,
    addresses: Sequence[str],
    lost: Sequence[Evidence],
    gained: Sequence[Evidence],
    now: datetime,
) -> Followed:
    entries = entries_of(connection, addresses, now)
    gone = [*_evidence(connection, event_versions, addresses), *lost]
    going = {evidence.event for evidence in lost}
    left = [e for e in _evidence(connection, events, addresses) if e.event not in going]
    left += gained
    fallen = falling(entries, gone, left)
    standing = [entry for entry in entries if entry not in fallen]
    wanted = [*(evidence.suppression() for evidence in gained), *still_wanted(fallen, left)]
    wanted.sort(key=lambda each: each.since)
    return Followed(
        tuple(_naming(entry, gone) for entry in fallen), tuple(uncovered(wanted, standing))
    )


def _evidence(connection: Connection, table: Table, addresses: Sequence[str]) -> list[Evidence]:
    """What suppressed these addresses: among events, or among what events said before."""
    query: Select[Any] = select(
        table.c["id" if table is events else "event_id"],
        table.c.suppressed_address,
        table.c.suppression_reason,
        table.c.sending_domain,
        table.c.received_at,
    ).where(table.c.suppressed_address.in_(addresses))
    return [
        Evidence(id_, address, SuppressionReason(reason), domain, received_at)
        for id_, address, reason, domain, received_at in connection.execute(query)
    ]


def _naming(entry: Suppression, gone: Iterable[Evidence]) -> Suppression:
    """The entry with the events that it rested on."""
    of_entry = sorted({(e.received_at, e.event) for e in gone if e.speaks_for(entry)}, reverse=True)
    return replace(entry, events=tuple(id_ for _, id_ in of_entry[:_MAX_EVENTS]))


def _by_address(evidence: Sequence[Evidence]) -> dict[str, list[Evidence]]:
    found: dict[str, list[Evidence]] = {}
    for each in evidence:
        found.setdefault(each.address, []).append(each)
    return found


def _domain(event: Event) -> str | None:
    return event.sending_domain.lower() if event.sending_domain else None


def _chunks(values: Sequence[str]) -> Iterable[Sequence[str]]:
    return (values[start : start + _AT_ONCE] for start in range(0, len(values), _AT_ONCE))


def _expire(connection: Connection, calls: Sequence[tuple[datetime, int]]) -> list[int]:
    return [_expire_some(connection, before, limit) for before, limit in calls]


def _expire_some(connection: Connection, before: datetime, limit: int) -> int:
    old = (
        select(event_versions.c.event_id)
        .where(event_versions.c.received_at < before)
        .distinct()
        .limit(limit)
    )
    found = event_versions.c.event_id.in_(old)
    return connection.execute(delete(event_versions).where(found)).rowcount
