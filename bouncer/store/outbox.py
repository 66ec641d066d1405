"""The outbox: webhooks that are owed, written in the transaction of what they tell."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, or_, select, update

from bouncer.events import Message
from bouncer.records import Delivery, DeliveryState, Subscriber, deliveries_of
from bouncer.store.database import Database
from bouncer.store.page import Page, checked_limit, older_than, page_of
from bouncer.store.schema import deliveries, microseconds
from bouncer.store.statements import Insert
from bouncer.store.text import clean

_INSERT = Insert(deliveries, lambda insert: insert.on_conflict_do_nothing())
_PENDING = DeliveryState.PENDING.value
_FINISHED = [state.value for state in DeliveryState if state is not DeliveryState.PENDING]

_CLAIM = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("of_id"))
    .values(claimed_until=bindparam("until"))
)
_RECORD = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("of_id"), deliveries.c.state == _PENDING)
    .values(
        state=bindparam("new_state"),
        attempts=bindparam("new_attempts"),
        next_attempt_at=bindparam("next"),
        last_status=bindparam("status"),
        last_error=bindparam("error"),
        finished_at=bindparam("finished"),
        claimed_until=None,
    )
)


@dataclass(frozen=True, slots=True)
class Pending:
    """What an endpoint has not got yet."""

    count: int
    oldest: datetime


class Outbox:
    """`waiting` is set when there may be something to deliver; who waits for it clears it.

    On PostgreSQL another process may have written it: look from time to time as well.
    """

    def __init__(self, database: Database, subscribers: tuple[Subscriber, ...]) -> None:
        self._database = database
        self._subscribers = subscribers
        self.waiting = asyncio.Event()
        self.waiting.set()

    def subscribe(self, subscribers: tuple[Subscriber, ...]) -> None:
        """From now on messages are owed to these."""
        self._subscribers = subscribers

    async def due(
        self, endpoint: str, limit: int, now: datetime, lease: timedelta
    ) -> list[Delivery]:
        """What is to be delivered now, the longest due first; nobody else gets it until `lease`."""
        return await self._database.write(_claim_due, (endpoint, limit, now, lease))

    async def record(self, delivery: Delivery) -> None:
        """The result of an attempt."""
        await self._database.write(_record, delivery)
        if delivery.state is DeliveryState.PENDING:
            self.waiting.set()

    async def add(
        self, message: Message, cause: str, endpoint: str | None = None
    ) -> tuple[Delivery, ...]:
        """Owes a message to its subscribers, or to this endpoint whatever it wants."""
        to = self._subscribers if endpoint is None else (Subscriber(endpoint, ("*",)),)
        added = deliveries_of(message, cause, to)
        await self._database.write(_add, added)
        self.waiting.set()
        return added

    async def pending(self) -> dict[str, Pending]:
        """What each endpoint has not got yet."""
        query = (
            select(deliveries.c.endpoint, func.count(), func.min(deliveries.c.created_at))
            .where(deliveries.c.state == _PENDING)
            .group_by(deliveries.c.endpoint)
        )
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return {endpoint: Pending(count, oldest) for endpoint, count, oldest in rows}

    async def find(
        self,
        limit: int,
        cursor: str | None = None,
        endpoint: str | None = None,
        state: DeliveryState | None = None,
    ) -> Page[Delivery]:
        """Deliveries, newest first. ValueError: the cursor is not ours."""
        query = select(deliveries).order_by(deliveries.c.created_at.desc(), deliveries.c.id.desc())
        query = query.limit(checked_limit(limit) + 1)
        if endpoint is not None:
            query = query.where(deliveries.c.endpoint == clean(endpoint))
        if state is not None:
            query = query.where(deliveries.c.state == state.value)
        if cursor is not None:
            query = query.where(older_than(cursor, deliveries.c.created_at, deliveries.c.id))
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return page_of(rows, limit, _delivery, lambda row: (microseconds(row.created_at), row.id))

    async def retry(self, id: str, now: datetime) -> bool:  # noqa: A002 - the interface's word
        """Owes a delivery again, its schedule from the start; False: there is none of this id."""
        found = await self._database.write(_retry, (id, now))
        if found:
            self.waiting.set()
        return found

    async def abandon(
        self, configured: Sequence[str], reason: str, limit: int, now: datetime
    ) -> dict[str, int]:
        """Fails what is owed to any other endpoint, so many at most; how many, by endpoint."""
        return await self._database.write(_abandon, (configured, reason, limit, now))

    async def expire(self, before: datetime, limit: int) -> int:
        """Forgets finished deliveries, so many at most."""
        return await self._database.write(_expire, (before, limit))

    def owed(self, messages: Iterable[tuple[Message, str]]) -> list[Delivery]:
        """The deliveries of these messages and what caused them."""
        if not self._subscribers:  # then nobody needs to write the messages either
            return []
        return [
            delivery
            for message, cause in messages
            for delivery in deliveries_of(message, cause, self._subscribers)
        ]


def add_deliveries(connection: Connection, owed: Iterable[Delivery]) -> int:
    """Writes what is owed; a message that is there already is not owed twice."""
    rows = [_row(delivery) for delivery in owed]
    _INSERT.rows(connection, rows)
    return len(rows)


def _row(delivery: Delivery) -> Mapping[str, Any]:
    return {
        "id": delivery.id,
        "message_id": delivery.message_id,
        "endpoint": delivery.endpoint,
        "type": delivery.type,
        "body": delivery.body,
        "created_at": delivery.created_at,
        "next_attempt_at": delivery.next_attempt_at,
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "last_status": delivery.last_status,
        "last_error": clean(delivery.last_error),
        "finished_at": delivery.finished_at,
    }


def _delivery(row: Any) -> Delivery:
    return Delivery(
        id=row.id,
        message_id=row.message_id,
        endpoint=row.endpoint,
        type=row.type,
        body=row.body,
        created_at=row.created_at,
        next_attempt_at=row.next_attempt_at,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        last_status=row.last_status,
        last_error=row.last_error,
        finished_at=row.finished_at,
    )


_Due = tuple[str, int, datetime, timedelta]


def _claim_due(connection: Connection, calls: Sequence[_Due]) -> list[list[Delivery]]:
    return [_claim_for(connection, *call) for call in calls]


def _claim_for(
    connection: Connection, endpoint: str, limit: int, now: datetime, lease: timedelta
) -> list[Delivery]:
    free = or_(deliveries.c.claimed_until.is_(None), deliveries.c.claimed_until <= now)
    query = (
        select(deliveries)
        .where(deliveries.c.state == _PENDING, deliveries.c.endpoint == endpoint)
        .where(deliveries.c.next_attempt_at <= now, free)
        .order_by(deliveries.c.next_attempt_at)
        .limit(limit)
        .with_for_update(skip_locked=True)  # nothing on SQLite, which has one writer
    )
    rows = connection.execute(query).all()
    if rows:
        connection.execute(_CLAIM, [{"of_id": row.id, "until": now + lease} for row in rows])
    return [_delivery(row) for row in rows]


def _record(connection: Connection, results: Sequence[Delivery]) -> list[None]:
    connection.execute(
        _RECORD,
        [
            {
                "of_id": result.id,
                "new_state": result.state.value,
                "new_attempts": result.attempts,
                "next": result.next_attempt_at,
                "status": result.last_status,
                "error": clean(result.last_error),
                "finished": result.finished_at,
            }
            for result in results
        ],
    )
    return [None] * len(results)


def _add(connection: Connection, added: Sequence[tuple[Delivery, ...]]) -> list[None]:
    add_deliveries(connection, (delivery for some in added for delivery in some))
    return [None] * len(added)


def _retry(connection: Connection, calls: Sequence[tuple[str, datetime]]) -> list[bool]:
    return [_retry_one(connection, id_, now) for id_, now in calls]


def _retry_one(connection: Connection, id_: str, now: datetime) -> bool:
    due = {"next_attempt_at": now, "claimed_until": None}
    again = {"state": _PENDING, "attempts": 0, "finished_at": None}
    of_id = deliveries.c.id == clean(id_)
    pending = update(deliveries).where(of_id, deliveries.c.state == _PENDING).values(due)
    finished = update(deliveries).where(of_id, deliveries.c.state != _PENDING).values(due | again)
    # The finished first: it would be pending, and found by the other.
    return any(connection.execute(each).rowcount for each in (finished, pending))


_Abandon = tuple[Sequence[str], str, int, datetime]


def _abandon(connection: Connection, calls: Sequence[_Abandon]) -> list[dict[str, int]]:
    return [_abandon_some(connection, *call) for call in calls]


def _abandon_some(
    connection: Connection, configured: Sequence[str], reason: str, limit: int, now: datetime
) -> dict[str, int]:
    rows = connection.execute(
        select(deliveries.c.id, deliveries.c.endpoint)
        .where(deliveries.c.state == _PENDING, deliveries.c.endpoint.not_in(configured))
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    failed = {"state": DeliveryState.FAILED.value, "last_error": reason, "finished_at": now}
    of_these = deliveries.c.id.in_([row.id for row in rows])
    connection.execute(update(deliveries).where(of_these).values(failed | {"claimed_until": None}))
    return dict(Counter(row.endpoint for row in rows))


def _expire(connection: Connection, calls: Sequence[tuple[datetime, int]]) -> list[int]:
    return [
        connection.execute(
            delete(deliveries).where(
                deliveries.c.id.in_(
                    select(deliveries.c.id)
                    .where(deliveries.c.created_at < before, deliveries.c.state.in_(_FINISHED))
                    .order_by(deliveries.c.created_at)
                    .limit(limit)
                )
            )
        ).rowcount
        for before, limit in calls
    ]


def release_deliveries(connection: Connection) -> None:
    """Takes back what a process that is gone had claimed."""
    connection.execute(
        update(deliveries)
        .where(deliveries.c.state == _PENDING, deliveries.c.claimed_until.is_not(None))
        .values(claimed_until=None)
    )
