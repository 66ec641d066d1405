"""Messages that are read, or were too dangerous to: to be read again while their octets are kept.

Nobody claims them. Human mail is never among them.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select, update

from bouncer.events import Source
from bouncer.records import InboxItem, ItemState, MediaType
from bouncer.store.database import Database
from bouncer.store.page import Page, checked_limit, cursor_of, newer_than
from bouncer.store.schema import contents, inbox, microseconds
from bouncer.store.text import clean

READABLE = (ItemState.DONE, ItemState.QUARANTINED)


class Stored:
    """Finished messages by their state, the oldest first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, item_id: str) -> InboxItem | None:
        """A message by its id; None: there is none, or it is older than it is kept."""
        query = (
            select(inbox, contents.c.octets)
            .join_from(inbox, contents, inbox.c.digest == contents.c.digest)
            .where(inbox.c.id == clean(item_id))
        )
        row = await self._database.read(lambda c: c.execute(query).one_or_none())
        return None if row is None else _item(row)

    async def page(
        self,
        state: ItemState,
        since: datetime | None,
        until: datetime,
        limit: int,
        max_octets: int,
        cursor: str | None = None,
    ) -> Page[InboxItem]:
        """Those received from `since` on and before `until`; so many octets, one message at least.

        ValueError: the cursor is not ours.
        """
        query = (
            select(inbox.c.id, inbox.c.received_at, func.length(contents.c.octets).label("size"))
            .join_from(inbox, contents, inbox.c.digest == contents.c.digest)
            .where(*_received(state, since, until))
            .order_by(inbox.c.received_at, inbox.c.id)
            .limit(checked_limit(limit) + 1)
        )
        if cursor is not None:
            query = query.where(newer_than(cursor, inbox.c.received_at, inbox.c.id))
        return await self._database.read(lambda c: _read_page(c, query, limit, max_octets))

    async def count(
        self, states: Sequence[ItemState], since: datetime | None, until: datetime
    ) -> int:
        """How many there are, those included whose octets are not kept any more."""
        queries = [
            select(func.count()).select_from(inbox).where(*_received(state, since, until))
            for state in states
        ]
        return await self._database.read(lambda c: sum(c.execute(q).scalar_one() for q in queries))


def lock_stored(connection: Connection, ids: Sequence[str]) -> dict[str, ItemState]:
    """The states of those of these messages that are finished; nobody changes them now."""
    query = (
        select(inbox.c.id, inbox.c.state)
        .where(inbox.c.id.in_(sorted(ids)), inbox.c.state.in_([state.value for state in READABLE]))
        .order_by(inbox.c.id)
        .with_for_update()
    )
    return {row.id: ItemState(row.state) for row in connection.execute(query)}


def end_quarantine(connection: Connection, ids: Sequence[str], now: datetime) -> None:
    """What was quarantined is read after all."""
    if ids:
        done = update(inbox).where(inbox.c.id.in_(sorted(ids)))
        connection.execute(done.values(state=ItemState.DONE.value, finished_at=now))


def _received(
    state: ItemState, since: datetime | None, until: datetime
) -> list[ColumnElement[bool]]:
    conditions = [inbox.c.state == state.value, inbox.c.received_at < until]
    return conditions if since is None else [*conditions, inbox.c.received_at >= since]


def _read_page(
    connection: Connection, query: Select[Any], limit: int, max_octets: int
) -> Page[InboxItem]:
    rows = connection.execute(query).all()
    kept = rows[: min(limit, _fitting(rows, max_octets))]
    if not kept:
        return Page([])
    with_octets = (
        select(inbox, contents.c.octets)
        .join_from(inbox, contents, inbox.c.digest == contents.c.digest)
        .where(inbox.c.id.in_([row.id for row in kept]))
        .order_by(inbox.c.received_at, inbox.c.id)
    )
    items = [_item(row) for row in connection.execute(with_octets)]
    last = kept[-1]
    more = len(rows) > len(kept)
    return Page(items, cursor_of((microseconds(last.received_at), last.id)) if more else None)


def _fitting(rows: Sequence[Any], max_octets: int) -> int:
    """How many of these come to no more than so many octets; one at the least."""
    octets = 0
    for position, row in enumerate(rows):
        octets += row.size
        if position > 0 and octets > max_octets:
            return position
    return len(rows)


def _item(row: Any) -> InboxItem:
    return InboxItem(
        id=row.id,
        source=Source(row.source),
        recipient=row.recipient,
        sender=row.sender,
        octets=row.octets,
        received_at=row.received_at,
        media_type=MediaType(row.media_type),
        peer=row.peer,
        attempts=row.attempts,
        crashes=row.crashes,
        claim="",
    )
