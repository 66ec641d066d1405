"""The inbox: every message as it was received, until what it says is stored.

An item waits, is claimed (`reading`), and is finished in one transaction with its events. A claim
ends with its lease, so that an item outlives whoever read it; the token of the claim keeps out one
who comes back too late.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, delete, exists, func, select, update

from bouncer.errors import StoreError, StoreFull
from bouncer.events import Event, Message, Source, message_for
from bouncer.records import (
    Finished,
    InboxItem,
    ItemState,
    MediaType,
    Order,
    Received,
    Suppression,
)
from bouncer.store.database import Database
from bouncer.store.events import add_events
from bouncer.store.outbox import Outbox, add_deliveries
from bouncer.store.schema import contents, inbox
from bouncer.store.statements import Insert, Statement, driver_of
from bouncer.store.suppressions import Suppressions
from bouncer.store.text import clean

_WAITING, _READING = ItemState.WAITING.value, ItemState.READING.value
_UNFINISHED = [_WAITING, _READING]
_FINISHED = [state.value for state in ItemState if state.value not in _UNFINISHED]
_COUNTED = [ItemState.WAITING, ItemState.READING, ItemState.QUARANTINED, ItemState.HUMAN]

_EXPIRED_OCTETS_AT_ONCE = 16 * 2**20

_OCTETS_IN_ONE_STATEMENT = 4 * 2**20

_INSERT_ITEM = Insert(inbox, lambda insert: insert.on_conflict_do_nothing())
# What is there is touched, not skipped: so expiry, which may be deleting it, is waited for.
_INSERT_OCTETS = Insert(
    contents,
    lambda insert: insert.on_conflict_do_update(
        index_elements=[contents.c.digest],
        set_={"received_at": insert.excluded.received_at},
    ),
)

_CANDIDATES = (
    select(
        inbox.c.id, inbox.c.attempts, inbox.c.crashes, func.length(contents.c.octets).label("size")
    )
    .join_from(inbox, contents, inbox.c.digest == contents.c.digest, isouter=True)
    .order_by(inbox.c.received_at)
    .limit(bindparam("at_most"))
    .with_for_update(of=inbox, skip_locked=True)  # nothing on SQLite, which has one writer
)
_WAITING_LONGEST = Statement(lambda _: _CANDIDATES.where(inbox.c.state == _WAITING))
_FRESH = Statement(
    lambda _: _CANDIDATES.where(
        inbox.c.state == _WAITING, inbox.c.attempts == 0, inbox.c.crashes == 0
    )
)
_LEASE_ENDED = Statement(
    lambda _: _CANDIDATES.where(
        inbox.c.state == _READING, inbox.c.claimed_until <= bindparam("now")
    )
)
_CLAIM = Statement(
    lambda among: (
        update(inbox)
        .where(among(inbox.c.id, "ids"))
        .values(
            state=_READING,
            attempts=inbox.c.attempts + 1,
            claim=bindparam("token"),
            claimed_until=bindparam("until"),
        )
    )
)
_CLAIMED = Statement(
    lambda among: (
        select(inbox, contents.c.octets)
        .join_from(inbox, contents, inbox.c.digest == contents.c.digest, isouter=True)
        .where(among(inbox.c.id, "ids"))
    )
)
_STANDING = Statement(
    lambda among: (
        select(inbox.c.id, inbox.c.claim)
        .where(among(inbox.c.id, "ids"), inbox.c.state == _READING)
        .order_by(inbox.c.id)
        .with_for_update()
    )
)
_HELD = (inbox.c.id == bindparam("of_id"), inbox.c.claim == bindparam("token"))
_RELEASE = update(inbox).where(*_HELD).values(state=_WAITING, claim=None, claimed_until=None)
_UNTRIED = _RELEASE.values(attempts=inbox.c.attempts - 1)
_CRASHED = update(inbox).where(*_HELD).values(crashes=inbox.c.crashes + 1)
_FINISH = Statement(
    lambda among: (
        update(inbox)
        .where(among(inbox.c.id, "ids"))
        .values(
            state=bindparam("new_state"),
            finished_at=bindparam("now"),
            claim=None,
            claimed_until=None,
        )
    )
)


@dataclass(frozen=True, slots=True)
class FinishOutcome:
    """`stored` False: the claim had ended, and nothing was written."""

    stored: bool
    new_suppressions: int = 0


class Inbox:
    """`waiting` is set when there may be something to claim; `claim` clears it.

    On PostgreSQL another process may have received it: look from time to time as well.
    """

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
        self.waiting = asyncio.Event()
        self.waiting.set()

    async def receive(self, items: Sequence[Received]) -> list[bool]:
        """Keeps a message for each of its recipients; durable when this returns.

        False for an item that was there already: the sender tries again what we have.
        Raises StoreFull when the disk has no more room than its reserve.
        """
        if not self._has_room():
            raise StoreFull("the disk has no more room than its reserve")
        new = await self._database.write(_receive, items)
        if any(new):
            self.waiting.set()
        return new

    async def claim(
        self,
        limit: int,
        max_octets: int,
        lease: timedelta,
        now: datetime,
        order: Order = Order.OLDEST_FIRST,
    ) -> list[InboxItem]:
        """The items that wait longest, ours to read until the lease ends.

        At least one if there is one. An item that was claimed before comes alone: if it kills its
        reader again, it takes no neighbour along.
        """
        self.waiting.clear()
        items = await self._database.write(_claim, (limit, max_octets, lease, now, order))
        if items:
            self.waiting.set()
        return items

    async def finish(self, finished: Finished, now: datetime) -> FinishOutcome:
        """Stores the events of an item, what they suppress, and the webhooks that tell of it."""
        return (await self.finish_all([finished], now))[0]

    async def finish_all(self, finished: Sequence[Finished], now: datetime) -> list[FinishOutcome]:
        """The same for several in one transaction; each alone where that fails over one of them."""
        try:
            outcomes = await self._database.write(self._finish, (finished, now))
        except Exception as error:
            if len(finished) <= 1 or isinstance(error, StoreError):
                raise
            return await asyncio.gather(*(self.finish(each, now) for each in finished))
        if any(o.stored and f.events for o, f in zip(outcomes, finished, strict=True)):
            self._outbox.waiting.set()
        return outcomes

    async def release(self, items: Sequence[InboxItem], *, untried: bool = False) -> None:
        """Gives claimed items back; `untried`: as if they had not been claimed."""
        if items:
            await self._database.write(_give_back if untried else _release, items)
            self.waiting.set()

    async def record_crash(self, item: InboxItem) -> None:
        """Counts a reader that died over this item. The claim stands: finish or release it."""
        await self._database.write(_record_crash, item)

    async def counts(self) -> dict[ItemState, int]:
        """How many items are in each state but done, of which there are too many to count."""
        query = (
            select(inbox.c.state, func.count())
            .where(inbox.c.state.in_([state.value for state in _COUNTED]))
            .group_by(inbox.c.state)
        )
        rows = await self._database.read(lambda c: c.execute(query).all())
        counted: dict[str, int] = dict(rows)
        return {state: counted.get(state.value, 0) for state in _COUNTED}

    async def oldest_unfinished(self) -> datetime | None:
        """When the oldest item was received that is not finished."""
        oldest = [
            select(func.min(inbox.c.received_at)).where(inbox.c.state == state)
            for state in _UNFINISHED
        ]
        found = await self._database.read(lambda c: [c.execute(query).scalar() for query in oldest])
        return min((at for at in found if at is not None), default=None)

    async def octets(self, item_id: str) -> bytes | None:
        """A message as it was received; None: there is none, or it is older than it is kept."""
        query = (
            select(contents.c.octets)
            .join(inbox, inbox.c.digest == contents.c.digest)
            .where(inbox.c.id == clean(item_id))
        )
        return await self._database.read(lambda c: c.execute(query).scalar_one_or_none())

    async def expire_octets(self, before: datetime, limit: int) -> int:
        """Forgets octets of finished items, so many at most; their ids stay."""
        return await self._database.write(_expire_octets, (before, limit))

    async def expire_items(self, before: datetime, limit: int) -> int:
        """Forgets finished items, so many at most."""
        return await self._database.write(_expire_items, (before, limit))

    def _finish(
        self, connection: Connection, calls: Sequence[tuple[Sequence[Finished], datetime]]
    ) -> list[list[FinishOutcome]]:
        items = [(each, now) for finished, now in calls for each in finished]
        held = _held(connection, [finished.item for finished, _ in items])
        # Taken out: the same item twice is stored once.
        stored = [held.pop(done.item.id, None) == done.item.claim for done, _ in items]
        standing = [each for each, is_held in zip(items, stored, strict=True) if is_held]
        if standing:
            _set_finished(connection, standing)
            self._add_events(connection, standing)
        new = iter(self._add_suppressions(connection, standing))
        outcomes = (FinishOutcome(is_held, next(new) if is_held else 0) for is_held in stored)
        return [[next(outcomes) for _ in finished] for finished, _ in calls]

    def _add_suppressions(
        self, connection: Connection, items: Sequence[tuple[Finished, datetime]]
    ) -> list[int]:
        """How many are new, for each item."""
        wanted = [(each, now) for finished, now in items for each in finished.suppressions]
        if not wanted:
            return [0] * len(items)
        new = iter(self._suppressions.add(connection, wanted))
        return [sum(next(new) for _ in finished.suppressions) for finished, _ in items]

    def _add_events(
        self, connection: Connection, items: Sequence[tuple[Finished, datetime]]
    ) -> None:
        times = {event.id: now for finished, now in items for event in finished.events}
        new = add_events(connection, [pair for finished, _ in items for pair in _pairs(finished)])
        add_deliveries(connection, self._outbox.owed(_told(new, times)))


def _told(new: Sequence[Event], times: Mapping[str, datetime]) -> Iterator[tuple[Message, str]]:
    for event in new:
        message = message_for(event, times[event.id])
        if message is not None:
            yield message, event.id


def release_items(connection: Connection) -> None:
    """Takes back what a process that is gone had claimed."""
    connection.execute(
        update(inbox)
        .where(inbox.c.state == _READING)
        .values(state=_WAITING, claim=None, claimed_until=None)
    )


def _pairs(finished: Finished) -> list[tuple[Event, Suppression | None]]:
    said_by = {id_: each for each in finished.suppressions for id_ in each.events}
    return [(event, said_by.get(event.id)) for event in finished.events]


def _receive(connection: Connection, mails: Sequence[Sequence[Received]]) -> list[list[bool]]:
    by_id: dict[str, Received] = {}
    firsts = [[_first(by_id, received) for received in mail] for mail in mails]
    # In one order everywhere: no deadlock.
    rows = [_item_row(id_, by_id[id_]) for id_ in sorted(by_id)]
    new = _INSERT_ITEM.new(connection, rows)
    octets = {by_id[id_].digest: by_id[id_] for id_ in new}
    _insert_octets(connection, [octets[digest] for digest in sorted(octets)])
    return [[first in new for first in some] for some in firsts]


def _first(by_id: dict[str, Received], received: Received) -> str | None:
    """The id of an item that no other in this transaction has."""
    id_ = received.id
    if id_ in by_id:
        return None
    by_id[id_] = received
    return id_


def _insert_octets(connection: Connection, items: Sequence[Received]) -> None:
    rows = [{"digest": r.digest, "received_at": r.received_at, "octets": r.octets} for r in items]
    if sum(len(received.octets) for received in items) <= _OCTETS_IN_ONE_STATEMENT:
        _INSERT_OCTETS.rows(connection, rows)
        return
    for row in rows:  # a driver copies what it is given
        _INSERT_OCTETS.rows(connection, [row])


def _item_row(id_: str, received: Received) -> dict[str, Any]:
    return {
        "id": id_,
        "digest": received.digest,
        "recipient": clean(received.recipient),
        "sender": clean(received.sender),
        "source": received.source.value,
        "media_type": received.media_type.value,
        "peer": clean(received.peer),
        "received_at": received.received_at,
        "state": ItemState.HUMAN.value if received.human else _WAITING,
        "attempts": 0,
        "crashes": 0,
    }


_ClaimCall = tuple[int, int, timedelta, datetime, Order]


def _claim(connection: Connection, calls: Sequence[_ClaimCall]) -> list[list[InboxItem]]:
    return [_claim_some(connection, *call) for call in calls]


def _claim_some(
    connection: Connection,
    limit: int,
    max_octets: int,
    lease: timedelta,
    now: datetime,
    order: Order,
) -> list[InboxItem]:
    rows: Sequence[Any] = ()
    if order is not Order.OLDEST_FIRST:
        rows = _together(_FRESH.rows(connection, at_most=limit), max_octets)
    if not rows and order is not Order.FRESH_ONLY:
        rows = _LEASE_ENDED.rows(connection, now=now, at_most=1) or _together(
            _WAITING_LONGEST.rows(connection, at_most=limit), max_octets
        )
    if not rows:
        return []
    ids = [row.id for row in rows]
    _CLAIM.run(connection, ids=ids, token=secrets.token_hex(8), until=now + lease)
    claimed = {row.id: row for row in _CLAIMED.rows(connection, ids=ids)}
    return [_item(claimed[id_]) for id_ in ids]


def _together(rows: Sequence[Any], max_octets: int) -> Sequence[Any]:
    """As many as may be read together."""
    octets = 0
    for position, row in enumerate(rows):
        suspect = row.attempts > 0 or row.crashes > 0
        octets += row.size or 0
        if position == 0 and suspect:
            return rows[:1]
        if position > 0 and (suspect or octets > max_octets):
            return rows[:position]
    return rows


def _item(row: Any) -> InboxItem:
    return InboxItem(
        id=row.id,
        source=Source(row.source),
        recipient=row.recipient,
        sender=row.sender,
        octets=row.octets or b"",
        received_at=row.received_at,
        media_type=MediaType(row.media_type),
        peer=row.peer,
        attempts=row.attempts,
        crashes=row.crashes,
        claim=row.claim,
    )


def _held(connection: Connection, items: Sequence[InboxItem]) -> dict[str, str]:
    """The claims that stand, by item."""
    ids = sorted({item.id for item in items})
    return {row.id: row.claim for row in _STANDING.rows(connection, ids=ids)}


def _set_finished(connection: Connection, items: Sequence[tuple[Finished, datetime]]) -> None:
    alike: dict[tuple[str, datetime], list[str]] = {}
    for finished, now in items:
        alike.setdefault((finished.state.value, now), []).append(finished.item.id)
    for (state, now), ids in alike.items():
        _FINISH.run(connection, ids=ids, new_state=state, now=now)


def _release(connection: Connection, calls: Sequence[Sequence[InboxItem]]) -> list[None]:
    connection.execute(_RELEASE, [_holding(item) for items in calls for item in items])
    return [None] * len(calls)


def _give_back(connection: Connection, calls: Sequence[Sequence[InboxItem]]) -> list[None]:
    connection.execute(_UNTRIED, [_holding(item) for items in calls for item in items])
    return [None] * len(calls)


def _record_crash(connection: Connection, items: Sequence[InboxItem]) -> list[None]:
    connection.execute(_CRASHED, [_holding(item) for item in items])
    return [None] * len(items)


def _holding(item: InboxItem) -> dict[str, str]:
    return {"of_id": item.id, "token": item.claim}


def _expire_octets(connection: Connection, calls: Sequence[tuple[datetime, int]]) -> list[int]:
    return [_expire_some_octets(connection, before, limit) for before, limit in calls]


def _expire_some_octets(connection: Connection, before: datetime, limit: int) -> int:
    # An item that is not finished is no younger than its octets, and there are few so old.
    needed = exists().where(
        inbox.c.state.in_(_UNFINISHED),
        inbox.c.received_at < before,
        inbox.c.digest == contents.c.digest,
    )
    old = (contents.c.received_at < before, ~needed)
    rows = connection.execute(
        select(contents.c.digest, func.length(contents.c.octets).label("size"))
        .where(*old)
        .order_by(contents.c.received_at)
        .limit(limit)
    ).all()
    digests: list[str] = []
    octets = 0
    for row in rows:
        octets += row.size
        if digests and octets > _EXPIRED_OCTETS_AT_ONCE:
            break
        digests.append(row.digest)
    gone = connection.execute(delete(contents).where(contents.c.digest.in_(digests), *old)).rowcount
    if connection.dialect.name == "sqlite":  # gives the room back to the disk
        driver_of(connection).execute("PRAGMA incremental_vacuum(4096)").fetchall()
    return gone


def _expire_items(connection: Connection, calls: Sequence[tuple[datetime, int]]) -> list[int]:
    return [_expire_some_items(connection, before, limit) for before, limit in calls]


def _expire_some_items(connection: Connection, before: datetime, limit: int) -> int:
    old = (
        select(inbox.c.id)
        .where(inbox.c.state.in_(_FINISHED), inbox.c.received_at < before)
        .limit(limit)
    )
    return connection.execute(delete(inbox).where(inbox.c.id.in_(old))).rowcount
