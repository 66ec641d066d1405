"""SQLite: one thread writes, a few threads read.

WAL with `synchronous=FULL`: a commit is on the disk when it returns. One process owns the file;
others (commands) may read and make short writes beside it.
"""

import asyncio
import contextlib
import fcntl
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, NullPool, QueuePool, create_engine, event
from sqlalchemy.pool import Pool

from bouncer.errors import ConfigurationError, StoreUnavailable
from bouncer.store.checkpoints import MAX_LOG_BYTES, Checkpoints
from bouncer.store.database import MAX_BATCH, Database, Job, deliver, fault_of, settle

R = TypeVar("R")

_READERS = 3
_PRAGMAS = (
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",
    "PRAGMA wal_autocheckpoint = 0",  # checkpoints.py does it
    f"PRAGMA journal_size_limit = {MAX_LOG_BYTES}",
    "PRAGMA cache_size = -16384",  # KiB
)


class Sqlite(Database):
    """A file of ours."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__(timeout)
        self._path = path
        # A job may come just after one that waits for a lock: both are answered in time.
        self._lock_wait = timeout * 0.4
        self._owner: int | None = None
        self._jobs: queue.SimpleQueue[list[Job] | None] = queue.SimpleQueue()
        self._gathered: list[Job] = []
        self._thread = threading.Thread(
            target=self._write_batches, name="store-writer", daemon=True
        )
        self._writer: Connection | None = None
        self._checkpoints = Checkpoints(path, self._bare_connection)
        self._writing = self._engine(NullPool)
        self._reading = self._engine(QueuePool, pool_size=_READERS, pool_reset_on_return=None)
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="store-reader")

    async def open(self, prepare: Callable[[Connection], None]) -> None:
        if not self._path.parent.is_dir():
            raise ConfigurationError(f"store.url: there is no directory {self._path.parent}")
        try:
            await asyncio.to_thread(self._prepare, prepare)
        except (sqlite3.Error, OSError) as error:
            raise fault_of(error) from error
        self._checkpoints.start()
        self._thread.start()

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._hand_over()
        self._jobs.put(None)
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join, self._timeout)
            await asyncio.to_thread(self._checkpoints.close, self._timeout)
        self._readers.shutdown(wait=False, cancel_futures=True)
        self._reading.dispose()
        self._writing.dispose()
        if self._owner is not None:
            os.close(self._owner)

    def disk(self) -> tuple[int, int] | None:
        disk = os.statvfs(self._path.parent)
        return disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize

    def require(self) -> None:
        """Raises ConfigurationError when there is no file: to be called before `open`."""
        if not self._path.is_file():
            raise ConfigurationError(f"store.url: there is no database {self._path}")

    def own(self) -> None:
        """Makes this process the one that owns the file, for as long as it lives.

        Raises ConfigurationError when another one does.
        """
        # A file beside it: SQLite loses its own locks when another handle of it is closed.
        handle = os.open(f"{self._path}-owner", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            raise ConfigurationError(
                f"store.url: another bouncer serves from {self._path}; one process owns a SQLite "
                "file: stop it, or use PostgreSQL for several"
            ) from None
        self._owner = handle

    def _submit(self, job: Job) -> None:
        # What comes in one turn of the loop is handed over together: the writer, woken by the
        # first, would commit that one alone.
        if not self._gathered:
            self._loop.call_soon(self._hand_over)
        self._gathered.append(job)

    def _hand_over(self) -> None:
        gathered, self._gathered = self._gathered, []
        self._jobs.put(gathered)

    async def _read(self, work: Callable[[Connection], R]) -> R:
        def run() -> R:
            with self._reading.connect() as connection:
                return work(connection)

        return await self._loop.run_in_executor(self._readers, run)

    def _engine(self, pool: type[Pool], **options: Any) -> Engine:
        engine = create_engine(
            URL.create("sqlite", database=str(self._path)),
            poolclass=pool,
            # Transactions are begun by us: sqlite3 would begin them too late to take turns.
            isolation_level="AUTOCOMMIT",
            connect_args={"timeout": self._lock_wait, "check_same_thread": False},
            **options,
        )
        event.listen(engine, "connect", _set_pragmas)
        return engine

    def _bare_connection(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=self._lock_wait, isolation_level=None, check_same_thread=False
        )
        _set_pragmas(connection, None)
        return connection

    def _prepare(self, prepare: Callable[[Connection], None]) -> None:
        with self._writing.connect() as connection:
            _use_wal(_driver(connection), self._lock_wait)
        self._path.chmod(0o600)
        with self._transaction(lock="EXCLUSIVE") as connection:
            prepare(connection)

    def _write_batches(self) -> None:
        while self._write_batch():
            pass
        self._discard()

    def _write_batch(self) -> bool:
        """Waits for jobs and does them; False after the last ones. Keeps none when it returns."""
        batch, stopping = self._batch()
        jobs = [job for job in batch if not job.future.done()]
        if jobs:
            outcomes = settle(self._transaction, jobs)
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits
                self._loop.call_soon_threadsafe(deliver, jobs, outcomes)
            if self._writer is not None:
                self._checkpoints.after_commit(_driver(self._writer))
        return not stopping

    def _batch(self) -> tuple[list[Job], bool]:
        jobs: list[Job] = []
        gathered = self._jobs.get()
        while gathered is not None:
            jobs += gathered
            if len(jobs) >= MAX_BATCH or self._jobs.empty():
                return jobs, False
            gathered = self._jobs.get()
        return jobs, True

    @contextmanager
    def _transaction(self, lock: str = "IMMEDIATE") -> Iterator[Connection]:
        """On the driver's connection: SQLAlchemy's own begin and commit cost half a small one."""
        if self._writer is None:
            self._writer = self._writing.connect()
        driver = _driver(self._writer)
        try:
            driver.execute(f"BEGIN {lock}")
            yield self._writer
            driver.execute("COMMIT")
            self.transactions += 1
        except Exception as error:
            with contextlib.suppress(sqlite3.Error):
                driver.rollback()
            if isinstance(fault_of(error), StoreUnavailable):
                # After a failed fsync the kernel may call dirty pages clean: never ask it again
                # on the same handle.
                self._discard()
            raise

    def _discard(self) -> None:
        if self._writer is not None:
            with contextlib.suppress(Exception):
                self._writer.close()
            self._writer = None


def _driver(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)  # noqa: S101 - tells mypy what the engine gives
    return driver


def _set_pragmas(connection: sqlite3.Connection, record: object) -> None:
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _use_wal(connection: sqlite3.Connection, lock_wait: float) -> None:
    """Kept in the file. Only a new one is changed, and then SQLite does not wait for a lock."""
    deadline = time.monotonic() + lock_wait
    while connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
