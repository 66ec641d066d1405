"""Listings: what each zone last said of each target."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select, tuple_, update

from bouncer.events import ListingState, Message, Severity
from bouncer.records import Listing
from bouncer.store.database import Database
from bouncer.store.outbox import Outbox, add_deliveries
from bouncer.store.page import Page, checked_limit, key_of, page_of
from bouncer.store.schema import listings
from bouncer.store.statements import Insert
from bouncer.store.text import clean

_INSERT = Insert(
    listings, lambda insert: insert.on_conflict_do_nothing().returning(listings.c.target)
)
_Change = tuple[Listing, Listing | None, Message | None]


class Listings:
    """Written by the blocklist monitor, of which there may be several."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    async def all(self) -> list[Listing]:
        """Every target on every zone, as last seen."""
        rows = await self._database.read(lambda c: c.execute(select(listings)).all())
        return [_listing(row) for row in rows]

    async def find(
        self,
        limit: int,
        cursor: str | None = None,
        target: str | None = None,
        zone: str | None = None,
        state: ListingState | None = None,
    ) -> Page[Listing]:
        """Listings by target and zone. ValueError: the cursor is not ours."""
        query = select(listings).order_by(listings.c.target, listings.c.zone)
        query = query.limit(checked_limit(limit) + 1)
        if target is not None:
            query = query.where(listings.c.target == clean(target))
        if zone is not None:
            query = query.where(listings.c.zone == clean(zone))
        if state is not None:
            query = query.where(listings.c.state == state.value)
        if cursor is not None:
            key = tuple_(listings.c.target, listings.c.zone)
            query = query.where(key > tuple_(*key_of(cursor, str, str)))
        rows = await self._database.read(lambda c: c.execute(query).all())
        return page_of(rows, limit, _listing, lambda row: (row.target, row.zone))

    async def record(
        self, listing: Listing, before: Listing | None, message: Message | None
    ) -> bool:
        """Writes what was seen, and the webhook of the change with it.

        False, and nothing is written, if the state and episode stored are no longer those of
        `before`: another process saw it first.
        """
        recorded = await self._database.write(self._record, (listing, before, message))
        if recorded and message is not None:
            self._outbox.waiting.set()
        return recorded

    def _record(self, connection: Connection, changes: Sequence[_Change]) -> list[bool]:
        return [self._record_one(connection, *change) for change in changes]

    def _record_one(
        self,
        connection: Connection,
        listing: Listing,
        before: Listing | None,
        message: Message | None,
    ) -> bool:
        if not _swapped(connection, _row(listing), before):
            return False
        if message is not None:
            cause = f"{listing.target}\0{listing.zone}\0{listing.episode}"
            add_deliveries(connection, self._outbox.owed([(message, cause)]))
        return True


def _swapped(connection: Connection, row: dict[str, Any], before: Listing | None) -> bool:
    if before is None:
        return connection.execute(_INSERT.on(connection), row).first() is not None
    statement = update(listings).where(
        listings.c.target == row["target"],
        listings.c.zone == row["zone"],
        listings.c.state == before.state.value,
        listings.c.episode == before.episode,
    )
    return connection.execute(statement.values(row)).rowcount == 1


def _row(listing: Listing) -> dict[str, Any]:
    return {
        "target": clean(listing.target),
        "zone": clean(listing.zone),
        "range": clean(listing.range),
        "state": listing.state.value,
        "codes": json.dumps(listing.codes),
        "meaning": clean(listing.meaning),
        "severity": listing.severity.value,
        "text": clean(listing.text),
        "lookup_url": clean(listing.lookup_url),
        "first_seen": listing.first_seen,
        "last_seen": listing.last_seen,
        "checked_at": listing.checked_at,
        "delisted_at": listing.delisted_at,
        "episode": listing.episode,
    }


def _listing(row: Any) -> Listing:
    return Listing(
        target=row.target,
        range=row.range,
        zone=row.zone,
        state=ListingState(row.state),
        codes=tuple(json.loads(row.codes)),
        meaning=row.meaning,
        severity=Severity(row.severity),
        text=row.text,
        lookup_url=row.lookup_url,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        checked_at=row.checked_at,
        delisted_at=row.delisted_at,
        episode=row.episode,
    )
