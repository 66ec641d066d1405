"""The store, opened by its URL: one facade over its subjects, the same on both databases."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import monotonic

from sqlalchemy import Connection, make_url
from sqlalchemy.exc import ArgumentError

from bouncer.clock import now
from bouncer.errors import ConfigurationError, StoreError
from bouncer.records import Subscriber
from bouncer.store.database import ANSWER_WITHIN, Database
from bouncer.store.events import Events
from bouncer.store.history import History
from bouncer.store.inbox import Inbox, release_items
from bouncer.store.listings import Listings
from bouncer.store.migrate import migrate as run_migrations
from bouncer.store.migrate import require_current
from bouncer.store.outbox import Outbox, release_deliveries
from bouncer.store.postgresql import Postgresql
from bouncer.store.schema import probes
from bouncer.store.sqlite import Sqlite
from bouncer.store.statements import Insert
from bouncer.store.stored import Stored
from bouncer.store.suppressions import Suppressions

_LOOK_SECONDS = 0.25
_LEAST_RESERVE = 256 * 2**20
_MOST_RESERVE = 2 * 2**30
_EXPIRED_AT_ONCE = 200  # rows in one transaction: receiving must not wait for more
_PROBE = Insert(
    probes,
    lambda insert: insert.on_conflict_do_update(
        index_elements=[probes.c.name], set_={"written_at": insert.excluded.written_at}
    ),
)


@dataclass(frozen=True, slots=True)
class Expired:
    """How much was forgotten."""

    octets: int
    items: int
    events: int
    deliveries: int
    versions: int = 0


class Store:
    """Everything that is kept. Raises StoreUnavailable while the database is away."""

    def __init__(
        self,
        database: Database,
        subscribers: tuple[Subscriber, ...],
        reserve_bytes: int | None = None,
    ) -> None:
        self.database = database
        self._reserve_bytes = reserve_bytes
        self._looked_at = -math.inf
        self._has_room = True
        self.outbox = Outbox(database, subscribers)
        self.suppressions = Suppressions(database, self.outbox)
        self.inbox = Inbox(database, self.suppressions, self.outbox, self.has_room)
        self.events = Events(database)
        self.stored = Stored(database)
        self.history = History(database, self.suppressions, self.outbox, self.has_room)
        self.listings = Listings(database, self.outbox)

    @classmethod
    async def open(
        cls,
        url: str,
        subscribers: tuple[Subscriber, ...] = (),
        *,
        migrate: bool = True,
        serving: bool = False,
        reserve_bytes: int | None = None,
        timeout: float = ANSWER_WITHIN,
    ) -> "Store":
        """Connects and brings the tables up to date; nothing waits longer than `timeout` seconds.

        `migrate` False: for who only reads; neither a file nor a table is made or changed.
        `serving`: this process works the inbox, not a command beside it. On SQLite there is one
        such process, and what another left half done is taken back. `reserve_bytes` as in the
        configuration. Raises ConfigurationError for a URL or a database that cannot be used.
        """
        database = _database(url, timeout)
        tables = run_migrations if migrate else require_current
        if not migrate and isinstance(database, Sqlite):
            database.require()

        def prepare(connection: Connection) -> None:
            tables(connection)
            if serving and isinstance(database, Sqlite):
                database.own()
                release_items(connection)
                release_deliveries(connection)

        try:
            await database.open(prepare)
        except BaseException:
            await database.close()
            raise
        return cls(database, subscribers, reserve_bytes)

    async def close(self) -> None:
        """Commits what waits and lets go of the database."""
        await self.database.close()

    async def writable(self) -> bool:
        """Whether a real, tiny transaction can be committed now."""
        try:
            await self.database.write(_probe, now())
        except StoreError:
            return False
        return True

    def free_bytes(self) -> int | None:
        """Room on the disk of the SQLite file; None on PostgreSQL, whose disk is not ours."""
        disk = self.database.disk()
        return disk[0] if disk else None

    def keep_free(self, reserve_bytes: int | None) -> None:
        """Another reserve, from now on."""
        self._reserve_bytes, self._looked_at = reserve_bytes, -math.inf

    def has_room(self) -> bool:
        """Whether the disk has more room than the reserve, which is kept to be able to delete.

        Asked for each message, looked up four times a second.
        """
        if monotonic() > self._looked_at + _LOOK_SECONDS:
            self._looked_at, self._has_room = monotonic(), self._is_roomy()
        return self._has_room

    def _is_roomy(self) -> bool:
        disk = self.database.disk()
        if disk is None:
            return True
        free, size = disk
        reserve = self._reserve_bytes
        if reserve is None:
            reserve = max(_LEAST_RESERVE, min(size // 20, _MOST_RESERVE))
        return free > reserve

    async def expire(self, raw_before: datetime, events_before: datetime) -> Expired:
        """Forgets octets received before the one time and everything else before the other.

        What is not finished stays, however old. In small transactions, so that nobody waits long.
        """
        return Expired(
            octets=await _until_none_is_left(self.inbox.expire_octets, raw_before),
            items=await _until_none_is_left(self.inbox.expire_items, events_before),
            events=await _until_none_is_left(self.events.expire, events_before),
            deliveries=await _until_none_is_left(self.outbox.expire, events_before),
            versions=await _until_none_is_left(self.history.expire, events_before),
        )


def upgrade(url: str) -> None:
    """Brings the tables of a database up to date, for the command of that name."""

    async def run() -> None:
        await (await Store.open(url)).close()

    asyncio.run(run())


def _database(url: str, timeout: float) -> Database:
    try:
        parts = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise ConfigurationError("store.url: this is not a URL") from error
    match parts.get_backend_name():
        case "sqlite" if parts.database and parts.database != ":memory:":
            return Sqlite(Path(parts.database).absolute(), timeout)
        case "postgresql" | "postgres":
            return Postgresql(url, timeout)
        case _:
            raise ConfigurationError(
                'store.url: write "sqlite:////var/lib/bouncer/bouncer.db" or '
                '"postgresql://user@host/name"'
            )


def _probe(connection: Connection, times: Sequence[datetime]) -> list[None]:
    connection.execute(_PROBE.on(connection), {"name": "writable", "written_at": times[-1]})
    return [None] * len(times)


async def _until_none_is_left(
    expire: Callable[[datetime, int], Awaitable[int]], before: datetime
) -> int:
    total = 0
    while gone := await expire(before, _EXPIRED_AT_ONCE):
        total += gone
    return total
