"""Suppressions: which addresses are not to be mailed, and for which sending domain.

An entry whose `until` has passed is not in force and not there, though its row may be.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, Final, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    delete,
    func,
    or_,
    select,
    tuple_,
    update,
)

from bouncer.clock import now as clock_now
from bouncer.events import SuppressionAdded, SuppressionReason, SuppressionRemoved
from bouncer.mail.address import address_key
from bouncer.records import Suppression
from bouncer.store.database import Database
from bouncer.store.outbox import Outbox, add_deliveries
from bouncer.store.page import Page, checked_limit, key_of, page_of
from bouncer.store.schema import EVERY_DOMAIN, events, microseconds, suppressions
from bouncer.store.statements import Insert, Statement
from bouncer.store.text import clean

_MAX_EVENTS = 20  # the newest that say so
_ADDRESSES_AT_ONCE = 500
_INSERT = Insert(suppressions, lambda insert: insert.on_conflict_do_nothing())
_DELETE_ENDED = Statement(
    lambda among: delete(suppressions).where(
        among(suppressions.c.address, "addresses"), suppressions.c.until <= bindparam("now")
    )
)
_COVERING = Statement(
    lambda among: (
        select(suppressions.c.address, suppressions.c.sending_domain, suppressions.c.until)
        .where(
            among(suppressions.c.address, "addresses"),
            or_(suppressions.c.until.is_(None), suppressions.c.until > bindparam("now")),
        )
        .order_by(suppressions.c.address, suppressions.c.sending_domain)
        .with_for_update(read=True, key_share=True)
    )
)
_DELETE = delete(suppressions).where(
    suppressions.c.address == bindparam("of_address"),
    suppressions.c.sending_domain == bindparam("of_domain"),
)
_Key = tuple[str, str]


class _Every(Enum):
    ALL = "all"


ALL: Final = _Every.ALL
"""In `remove`: whatever the sending domain. None is the entry that holds for every domain."""


class Suppressions:
    """Looked up before each send; written by the pipeline and by people."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    async def matching(self, address: str, now: datetime) -> list[Suppression]:
        """What is in force for an address, the widest first."""
        return await self.check([address], None, now)

    async def check(
        self, addresses: Sequence[str], sending_domain: str | None, now: datetime
    ) -> list[Suppression]:
        """What is in force for these addresses when this domain sends; None: any domain."""
        found: list[Suppression] = []
        keys = list(dict.fromkeys(_address(address) for address in addresses))
        for start in range(0, len(keys), _ADDRESSES_AT_ONCE):
            some = keys[start : start + _ADDRESSES_AT_ONCE]
            conditions = [suppressions.c.address.in_(some), _in_force(now)]
            if sending_domain is not None:
                wide_enough = (EVERY_DOMAIN, _domain(sending_domain))
                conditions.append(suppressions.c.sending_domain.in_(wide_enough))
            found += await self._database.read(lambda c, w=conditions: _read(c, w))  # type: ignore[misc]  # mypy: defaults of lambdas
        return found

    async def find(
        self,
        limit: int,
        cursor: str | None = None,
        sending_domain: str | None = None,
        reason: SuppressionReason | None = None,
        now: datetime | None = None,
    ) -> Page[Suppression]:
        """What is in force, by address. ValueError: the cursor is not ours."""
        checked_limit(limit)
        conditions = [_in_force(now or clock_now())]
        if sending_domain is not None:
            conditions.append(suppressions.c.sending_domain == _domain(sending_domain))
        if reason is not None:
            conditions.append(suppressions.c.reason == reason.value)
        if cursor is not None:
            after = key_of(cursor, str, str)
            conditions.append(
                tuple_(suppressions.c.address, suppressions.c.sending_domain) > tuple_(*after)
            )
        return await self._database.read(lambda c: _read_page(c, conditions, limit))

    async def put(self, suppression: Suppression) -> bool:
        """Sets an entry; True: there was none in force of this address and sending domain."""
        new = await self._database.write(self._put, suppression)
        if new:
            self._outbox.waiting.set()
        return new

    async def put_new(self, entries: Sequence[Suppression], now: datetime) -> int:
        """Sets entries of which none is in force that lasts as long; how many were new."""
        new = 0
        for start in range(0, len(entries), _ADDRESSES_AT_ONCE):
            some = entries[start : start + _ADDRESSES_AT_ONCE]
            new += sum(await self._database.write(self._put_new, (some, now)))
        if new:
            self._outbox.waiting.set()
        return new

    async def remove(
        self, address: str, sending_domain: str | Literal[_Every.ALL] | None, now: datetime
    ) -> list[Suppression]:
        """Lets an address be mailed again; what was in force until then."""
        removed = await self._database.write(self._remove, (address, sending_domain, now))
        if removed:
            self._outbox.waiting.set()
        return removed

    async def counts(self, now: datetime) -> dict[SuppressionReason, int]:
        """How many are in force, by reason."""
        query = (
            select(suppressions.c.reason, func.count())
            .where(_in_force(now))
            .group_by(suppressions.c.reason)
        )
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        counted = {SuppressionReason(reason): count for reason, count in rows}
        return {reason: counted.get(reason, 0) for reason in SuppressionReason}

    def add(
        self,
        connection: Connection,
        wanted: Sequence[tuple[Suppression, datetime]],
        *,
        amended: bool = False,
        alone: bool = False,
    ) -> list[bool]:
        """Adds those that no entry in force covers and owes the webhooks; which are new.

        One that ends sooner covers nothing that lasts longer: it is replaced, or stands beside.
        `amended`: the events are old, and the entry may have been told of before it fell away.
        `alone`: only an entry of the same sending domain covers another.
        """
        entries = [(_cleaned(suppression), now) for suppression, now in wanted]
        written = _write(connection, entries, _uncovered(connection, entries, alone))
        new = [position in written for position in range(len(entries))]
        told = [entry for entry, is_new in zip(entries, new, strict=True) if is_new]
        add_deliveries(
            connection,
            self._outbox.owed(
                (
                    SuppressionAdded(timestamp=now, data=suppression.entry()),
                    _cause(suppression, now if amended else None),
                )
                for suppression, now in told
            ),
        )
        return new

    def lift(self, connection: Connection, fallen: Sequence[Suppression], now: datetime) -> None:
        """Removes entries whose evidence fell away, and owes the webhooks."""
        if not fallen:
            return
        keys = sorted(_key(each) for each in fallen)
        connection.execute(_DELETE, [{"of_address": a, "of_domain": d} for a, d in keys])
        add_deliveries(
            connection,
            self._outbox.owed(
                (SuppressionRemoved(timestamp=now, data=each.entry()), _cause(each, now))
                for each in fallen
            ),
        )

    def _put(self, connection: Connection, items: Sequence[Suppression]) -> list[bool]:
        return [self._put_one(connection, _cleaned(item)) for item in items]

    def _put_one(self, connection: Connection, item: Suppression) -> bool:
        changed = connection.execute(
            update(suppressions)
            .where(_is(_key(item)), _in_force(item.since))
            .values(reason=item.reason.value, source=item.source, until=item.until)
        )
        if changed.rowcount or not _insert(connection, [(item, item.since)]):
            return False
        added = SuppressionAdded(timestamp=item.since, data=item.entry())
        add_deliveries(connection, self._outbox.owed([(added, _cause(item))]))
        return True

    def _put_new(
        self, connection: Connection, calls: Sequence[tuple[Sequence[Suppression], datetime]]
    ) -> list[list[bool]]:
        return [
            self.add(connection, [(each, now) for each in some], amended=True, alone=True)
            for some, now in calls
        ]

    def _remove(
        self,
        connection: Connection,
        calls: Sequence[tuple[str, str | Literal[_Every.ALL] | None, datetime]],
    ) -> list[list[Suppression]]:
        return [self._remove_one(connection, *call) for call in calls]

    def _remove_one(
        self,
        connection: Connection,
        address: str,
        sending_domain: str | Literal[_Every.ALL] | None,
        now: datetime,
    ) -> list[Suppression]:
        which = [suppressions.c.address == _address(address)]
        if sending_domain is not ALL:
            which.append(suppressions.c.sending_domain == _domain(sending_domain))
        removed = _read(connection, [*which, _in_force(now)])
        connection.execute(delete(suppressions).where(*which))
        add_deliveries(
            connection,
            self._outbox.owed(
                (SuppressionRemoved(timestamp=now, data=each.entry()), _cause(each))
                for each in removed
            ),
        )
        return removed


def entries_of(
    connection: Connection, addresses: Sequence[str], now: datetime, *, lock: bool = False
) -> list[Suppression]:
    """What is in force for these addresses, its evidence aside; `lock`: nobody else may rely on it
    or change it until the transaction ends."""
    query = _ordered([suppressions.c.address.in_(addresses), _in_force(now)])
    rows = connection.execute(query.with_for_update() if lock else query)
    return [_suppression(row, {}) for row in rows]


def _uncovered(
    connection: Connection, entries: Sequence[tuple[Suppression, datetime]], alone: bool
) -> dict[int, bool]:
    """Where those stand that neither an entry as wide nor one before them says already, and
    whether an entry of the same key stands there that ends sooner."""
    until = _until(
        connection,
        {suppression.address for suppression, _ in entries},
        min((now for _, now in entries), default=clock_now()),
    )
    uncovered = {}
    for position, (suppression, now) in enumerate(entries):
        key = _key(suppression)
        in_force = {
            wide: until[wide]
            for wide in ((key,) if alone else (key, (key[0], EVERY_DOMAIN)))
            if wide in until and (until[wide] is None or until[wide] > now)
        }
        if not any(_lasts(ends, suppression.until) for ends in in_force.values()):
            uncovered[position] = key in in_force
            until[key] = suppression.until
    return uncovered


def _lasts(until: datetime | None, other: datetime | None) -> bool:
    """Whether an entry lasts at least as long as the other."""
    return until is None or (other is not None and until >= other)


def _until(connection: Connection, addresses: set[str], now: datetime) -> dict[_Key, Any]:
    """Until when what covers these addresses is in force. It stays meanwhile: a replay that finds
    its evidence gone waits for ours (`entries_of`)."""
    rows = _COVERING.rows(connection, addresses=sorted(addresses), now=now)
    return {(row.address, row.sending_domain): row.until for row in rows}


def _write(
    connection: Connection,
    entries: Sequence[tuple[Suppression, datetime]],
    uncovered: Mapping[int, bool],
) -> set[int]:
    """Writes what is not covered; where those stand that are new."""
    absent = [position for position, there in uncovered.items() if not there]
    inserted = _insert(connection, [entries[position] for position in absent])
    written = {position for position in absent if _key(entries[position][0]) in inserted}
    # Those left: one that ends sooner stands there, or another process wrote one meanwhile.
    left = sorted(set(uncovered) - written, key=lambda position: _key(entries[position][0]))
    return written | {position for position in left if _outlasts(connection, entries[position][0])}


def _outlasts(connection: Connection, item: Suppression) -> bool:
    """Puts an entry in the place of the same one that ends sooner; False: it does not."""
    ends = suppressions.c.until
    sooner = ends.is_not(None) if item.until is None else ends < item.until
    changed = connection.execute(
        update(suppressions)  # not deleted and written: others may read it under a share lock
        .where(_is(_key(item)), sooner)
        .values(reason=item.reason.value, source=item.source, since=item.since, until=item.until)
    )
    return changed.rowcount > 0


def _insert(connection: Connection, entries: Sequence[tuple[Suppression, datetime]]) -> set[_Key]:
    """Writes entries where there is none in force; those that no other process wrote first."""
    if not entries:
        return set()
    ordered = sorted(entries, key=lambda entry: _key(entry[0]))
    _delete_ended(connection, ordered)
    rows = [
        {
            "address": item.address,
            "sending_domain": item.sending_domain or EVERY_DOMAIN,
            "reason": item.reason.value,
            "source": item.source,
            "since": item.since,
            "until": item.until,
        }
        for item, _ in ordered
    ]
    if connection.dialect.name == "sqlite":  # nobody else writes meanwhile
        _INSERT.rows(connection, rows)
        return {_key(item) for item, _ in ordered}
    inserted = _INSERT.returning(connection, rows, "address", "sending_domain")
    return {(row.address, row.sending_domain) for row in inserted}


def _delete_ended(connection: Connection, ordered: Sequence[tuple[Suppression, datetime]]) -> None:
    at_once: dict[datetime, list[str]] = {}
    for item, now in ordered:
        at_once.setdefault(now, []).append(item.address)
    for now, addresses in at_once.items():
        _DELETE_ENDED.run(connection, addresses=addresses, now=now)


def _read_page(
    connection: Connection, conditions: Sequence[ColumnElement[bool]], limit: int
) -> Page[Suppression]:
    rows = connection.execute(_ordered(conditions).limit(limit + 1)).all()
    evidence = _evidence(connection, rows[:limit])
    return page_of(
        rows,
        limit,
        lambda row: _suppression(row, evidence),
        lambda row: (row.address, row.sending_domain),
    )


def _read(connection: Connection, conditions: Sequence[ColumnElement[bool]]) -> list[Suppression]:
    rows = connection.execute(_ordered(conditions)).all()
    evidence = _evidence(connection, rows)
    return [_suppression(row, evidence) for row in rows]


def _ordered(conditions: Sequence[ColumnElement[bool]]) -> Any:
    return (
        select(suppressions)
        .where(*conditions)
        .order_by(suppressions.c.address, suppressions.c.sending_domain)
    )


def _evidence(connection: Connection, rows: Sequence[Any]) -> dict[_Key, list[str]]:
    """The newest events that say so, for each entry."""
    found: dict[_Key, list[str]] = {}
    addresses = sorted({row.address for row in rows})
    for start in range(0, len(addresses), _ADDRESSES_AT_ONCE):
        some = addresses[start : start + _ADDRESSES_AT_ONCE]
        for address, domain, event_id in connection.execute(_evidence_for(some)):
            found.setdefault((address, domain), []).append(event_id)
    return found


def _evidence_for(addresses: Sequence[str]) -> Any:
    newest = (events.c.received_at.desc(), events.c.id.desc())
    key = (suppressions.c.address, suppressions.c.sending_domain)
    says_so = and_(
        events.c.suppressed_address == suppressions.c.address,
        events.c.suppression_reason == suppressions.c.reason,
        events.c.received_at >= suppressions.c.since,
        suppressions.c.sending_domain.in_([EVERY_DOMAIN])
        | (suppressions.c.sending_domain == events.c.sending_domain),
    )
    place = func.row_number().over(partition_by=key, order_by=newest).label("place")
    ranked = (
        select(*key, events.c.id, place)
        .join_from(suppressions, events, says_so)
        .where(suppressions.c.address.in_(addresses))
        .subquery()
    )
    return (
        select(ranked.c.address, ranked.c.sending_domain, ranked.c.id)
        .where(ranked.c.place <= _MAX_EVENTS)
        .order_by(ranked.c.address, ranked.c.sending_domain, ranked.c.place)
    )


def _suppression(row: Any, evidence: dict[_Key, list[str]]) -> Suppression:
    return Suppression(
        address=row.address,
        sending_domain=row.sending_domain or None,
        reason=SuppressionReason(row.reason),
        source=row.source,
        since=row.since,
        until=row.until,
        events=tuple(evidence.get((row.address, row.sending_domain), ())),
    )


def _in_force(now: datetime) -> ColumnElement[bool]:
    return or_(suppressions.c.until.is_(None), suppressions.c.until > now)


def _is(key: _Key) -> ColumnElement[bool]:
    return and_(suppressions.c.address == key[0], suppressions.c.sending_domain == key[1])


def _key(suppression: Suppression) -> _Key:
    return suppression.address, suppression.sending_domain or EVERY_DOMAIN


def _cleaned(item: Suppression) -> Suppression:
    return Suppression(
        address=_address(item.address),
        sending_domain=_domain(item.sending_domain) or None,
        reason=item.reason,
        source=clean(item.source),
        since=item.since,
        until=item.until,
        events=item.events,
    )


def _address(address: str) -> str:
    return clean(address_key(address))


def _domain(sending_domain: str | None) -> str:
    return EVERY_DOMAIN if sending_domain is None else clean(sending_domain.lower())


def _cause(item: Suppression, amended_at: datetime | None = None) -> str:
    """An address that is suppressed again later is told again."""
    cause = f"{item.address}\0{item.sending_domain or EVERY_DOMAIN}\0{microseconds(item.since)}"
    return cause if amended_at is None else f"{cause}\0{microseconds(amended_at)}"
