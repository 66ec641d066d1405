"""Events: what each report said of each recipient, kept as published."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, or_, select

from bouncer.classify.category import BounceClass, Category
from bouncer.events import Event
from bouncer.mail.address import address_key
from bouncer.records import Suppression
from bouncer.reports.report import Kind
from bouncer.store.database import Database
from bouncer.store.page import Page, checked_limit, older_than, page_of
from bouncer.store.schema import events, microseconds
from bouncer.store.statements import Insert
from bouncer.store.text import clean, clean_event

_INSERT = Insert(events, lambda insert: insert.on_conflict_do_nothing())


@dataclass(frozen=True, slots=True)
class EventFilter:
    """What events are asked for: all that is set must be so. From `since` on, before `until`."""

    recipient: str | None = None  # or original_recipient
    sending_domain: str | None = None
    kind: Kind | None = None
    class_: BounceClass | None = None
    category: Category | None = None
    provider: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class Events:
    """Read by the API and the commands; written where an inbox item is finished."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, id: str) -> Event | None:  # noqa: A002 - the interface's word
        """The event of this id."""
        query = select(events.c.data).where(events.c.id == clean(id))
        data = await self._database.read(lambda c: c.execute(query).scalar_one_or_none())
        return None if data is None else Event.model_validate_json(data)

    async def find(self, wanted: EventFilter, limit: int, cursor: str | None = None) -> Page[Event]:
        """Events, newest first. ValueError: the cursor is not ours."""
        query = (
            select(events.c.id, events.c.received_at, events.c.data)
            .where(*_conditions(wanted))
            .order_by(events.c.received_at.desc(), events.c.id.desc())
            .limit(checked_limit(limit) + 1)
        )
        if cursor is not None:
            query = query.where(older_than(cursor, events.c.received_at, events.c.id))
        rows = await self._database.read(lambda c: c.execute(query).all())
        return page_of(rows, limit, _event, lambda row: (microseconds(row.received_at), row.id))

    async def expire(self, before: datetime, limit: int) -> int:
        """Forgets events received before, so many at most."""
        return await self._database.write(_expire, (before, limit))


def add_events(
    connection: Connection, found: Sequence[tuple[Event, Suppression | None]]
) -> list[Event]:
    """Writes events, each with the suppression that it calls for; those that are new."""
    by_id = {}
    rows = []
    for event, suppression in found:
        stored, written = clean_event(event)
        if stored.id not in by_id:
            by_id[stored.id] = stored
            rows.append(event_row(stored, written, suppression))
    rows.sort(key=lambda row: row["id"])  # the same order everywhere: no deadlock
    new = _INSERT.new(connection, rows)
    return [event for id_, event in by_id.items() if id_ in new]


def event_row(event: Event, written: str, suppression: Suppression | None) -> dict[str, Any]:
    """An event that is clean, as the table keeps it."""
    recipient = address_key(event.recipient) if event.recipient else None
    original = address_key(event.original_recipient) if event.original_recipient else None
    return {
        "id": event.id,
        "received_at": event.received_at,
        "kind": event.kind.value,
        "class_": event.class_.value if event.class_ else None,
        "category": event.category.value if event.category else None,
        "provider": event.provider,
        "sending_domain": event.sending_domain.lower() if event.sending_domain else None,
        "recipient_key": recipient,
        "original_recipient_key": None if original == recipient else original,
        "suppressed_address": clean(address_key(suppression.address)) if suppression else None,
        "suppression_reason": suppression.reason.value if suppression else None,
        "data": written,
    }


def _event(row: Any) -> Event:
    return Event.model_validate_json(row.data)


def _conditions(wanted: EventFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.recipient is not None:
        key = clean(address_key(wanted.recipient))
        conditions.append(
            or_(events.c.recipient_key == key, events.c.original_recipient_key == key)
        )
    if wanted.sending_domain is not None:
        conditions.append(events.c.sending_domain == clean(wanted.sending_domain.lower()))
    if wanted.provider is not None:
        conditions.append(events.c.provider == clean(wanted.provider))
    for column, value in (
        (events.c.kind, wanted.kind),
        (events.c.class_, wanted.class_),
        (events.c.category, wanted.category),
    ):
        if value is not None:
            conditions.append(column == value.value)
    if wanted.since is not None:
        conditions.append(events.c.received_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(events.c.received_at < wanted.until)
    return conditions


def _expire(connection: Connection, calls: Sequence[tuple[datetime, int]]) -> list[int]:
    return [
        connection.execute(
            delete(events).where(
                events.c.id.in_(
                    select(events.c.id)
                    .where(events.c.received_at < before)
                    .order_by(events.c.received_at)
                    .limit(limit)
                )
            )
        ).rowcount
        for before, limit in calls
    ]
