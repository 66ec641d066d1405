"""PostgreSQL: asyncpg, with a connection for each writer and a small pool to read.

asyncpg reads the URL, so that what libpq's users write works: `?sslmode=verify-full`,
`?host=/var/run/postgresql`, PGPASSWORD, several hosts.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

import asyncpg
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from bouncer.errors import ConfigurationError, StoreUnavailable
from bouncer.store.database import MAX_BATCH, Database, Job, deliver, fault_of, outcome_of, settle

R = TypeVar("R")

_WRITERS = 1
_READERS = 4
_MIGRATION_LOCK = 0x626F756E636572  # "bouncer"
# Of libpq alone: asyncpg would send them to the server, which does not know them.
_LIBPQ_ONLY = {
    "connect_timeout",
    "channel_binding",
    "fallback_application_name",
    "gssencmode",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "tcp_user_timeout",
}


def dsn_of(url: str) -> str:
    """The URL as asyncpg wants it."""
    parts = urlsplit(url)
    query = [
        (key, value)
        for key, value in parse_qsl(parts.query, keep_blank_values=True)
        if key not in _LIBPQ_ONLY
    ]
    # Not by urlunsplit, which loses the slashes of a URL that has no host.
    dsn = f"postgresql://{parts.netloc}{parts.path}"
    return f"{dsn}?{urlencode(query, safe='/:')}" if query else dsn


class Postgresql(Database):
    """A database that others may write as well."""

    def __init__(self, url: str, timeout: float) -> None:
        super().__init__(timeout)
        self._dsn = dsn_of(url)
        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self._connect,
            pool_size=_READERS + _WRITERS,
            max_overflow=0,
            pool_timeout=timeout,
        )
        self._reading = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._jobs: deque[Job] = deque()
        self._arrived = asyncio.Event()
        self._writers: list[asyncio.Task[None]] = []

    async def open(self, prepare: Callable[[Connection], None]) -> None:
        try:
            async with self._engine.begin() as connection:
                # Waiting for another process that migrates may take longer than a statement may.
                await connection.execute(text("SET LOCAL statement_timeout = 0"))
                await connection.execute(text("SET LOCAL lock_timeout = 0"))
                await connection.execute(
                    text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK}
                )
                await connection.run_sync(prepare)
        except (asyncpg.InvalidAuthorizationSpecificationError, ValueError) as error:
            raise ConfigurationError(f"store.url: {error}") from error
        except (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise fault_of(error) from error
        self._writers = [
            asyncio.create_task(self._write_batches(), name=f"store-writer-{number}")
            for number in range(_WRITERS)
        ]

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._arrived.set()
        if self._writers:
            _, unfinished = await asyncio.wait(self._writers, timeout=self._timeout)
            for writer in unfinished:
                writer.cancel()
        with contextlib.suppress(Exception):
            async with asyncio.timeout(self._timeout):
                await self._engine.dispose()

    def disk(self) -> tuple[int, int] | None:
        return None

    async def _connect(self) -> Any:
        return await asyncpg.connect(
            self._dsn,
            timeout=self._timeout * 0.4,
            server_settings={
                "application_name": "bouncer",
                "synchronous_commit": "on",
                "statement_timeout": str(int(self._timeout * 800)),
                "lock_timeout": str(int(self._timeout * 400)),
                "idle_in_transaction_session_timeout": str(int(self._timeout * 2000)),
                "jit": "off",
            },
        )

    def _submit(self, job: Job) -> None:
        self._jobs.append(job)
        self._arrived.set()

    async def _read(self, work: Callable[[Connection], R]) -> R:
        async with self._reading.connect() as connection:
            return await connection.run_sync(work)

    async def _write_batches(self) -> None:
        connection: AsyncConnection | None = None
        while self._jobs or not self._closed:
            await self._arrived.wait()
            connection = await self._write_batch(connection)
        if connection is not None:
            await connection.close()

    async def _write_batch(self, connection: AsyncConnection | None) -> AsyncConnection | None:
        """Does what waits, and keeps nothing of it; the connection that is to be used next."""
        jobs = self._batch()
        if jobs:
            connection, outcomes = await self._settle(connection, jobs)
            deliver(jobs, outcomes)
        return connection

    def _batch(self) -> list[Job]:
        jobs = [self._jobs.popleft() for _ in range(min(MAX_BATCH, len(self._jobs)))]
        if not self._jobs and not self._closed:
            self._arrived.clear()
        return [job for job in jobs if not job.future.done()]

    async def _settle(
        self, connection: AsyncConnection | None, jobs: list[Job]
    ) -> tuple[AsyncConnection | None, list[Any]]:
        try:
            async with asyncio.timeout(self._timeout * 0.9):
                connection = await self._usable(connection)
                outcomes = await connection.run_sync(
                    lambda sync: settle(partial(self._transaction, sync), jobs)
                )
        except Exception as error:
            outcomes = [outcome_of(error)] * len(jobs)
        if connection and any(isinstance(outcome, StoreUnavailable) for outcome in outcomes):
            await _terminate(connection)
            connection = None
        return connection, outcomes

    async def _usable(self, connection: AsyncConnection | None) -> AsyncConnection:
        """A connection that the server has not closed meanwhile, as it does when it restarts."""
        if connection is not None:
            if not (await _driver(connection)).is_closed():
                return connection
            await _terminate(connection)
        return await self._engine.connect()

    @contextmanager
    def _transaction(self, connection: Connection) -> Iterator[Connection]:
        with connection.begin():
            yield connection
        self.transactions += 1


async def _driver(connection: AsyncConnection) -> Any:
    return (await connection.get_raw_connection()).driver_connection


async def _terminate(connection: AsyncConnection) -> None:
    """Ends a connection without asking the server, which may not answer."""
    with contextlib.suppress(Exception):
        (await _driver(connection)).terminate()
    with contextlib.suppress(Exception):
        await connection.invalidate()
    with contextlib.suppress(Exception):
        await connection.close()
