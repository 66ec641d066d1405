"""How SQL is run: `write` shares a transaction with whatever else is waiting, `read` does not.

Group commit: what arrives while the last commit runs makes the next transaction; a lone writer
commits at once. All SQL is in plain functions on a SQLAlchemy `Connection`, the same for SQLite
(`sqlite.py`: one thread writes) and PostgreSQL (`postgresql.py`: asyncpg).

A `work` function may be run twice over the same items (together, then each alone), so it keeps
nothing outside the transaction.
"""

import asyncio
import logging
import sqlite3
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from bouncer.errors import StoreError, StoreFull, StoreUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

Work = Callable[[Connection, Sequence[T]], Sequence[R]]
Transaction = Callable[[], AbstractContextManager[Connection]]

MAX_BATCH = 256
ANSWER_WITHIN = 9.0  # seconds: senders and probes are told within ten

_OWN_FAULTS = ("22", "23", "42")  # SQLSTATE classes: bad data, constraint, bad statement
_CONTENTION = ("40001", "40P01")
_DISK_FULL = "53100"


class Contended(StoreUnavailable):
    """Two transactions were in each other's way; one job alone will probably pass."""


@dataclass(slots=True, eq=False)
class Job:
    """An item, the work that is to be done on it, and who waits for it."""

    work: Work[Any, Any]
    item: Any
    future: asyncio.Future[Any]
    deadline: float  # of whoever waits, by the loop's clock


class Database(ABC):
    """A database that is open. Every method raises StoreUnavailable or StoreFull."""

    transactions = 0  # committed, for whoever wants to know how well batches form

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._waiting: dict[Job, None] = {}  # the first has the earliest deadline
        self._alarm: asyncio.TimerHandle | None = None

    async def write(self, work: Work[T, R], item: T) -> R:
        """What `work` makes of the item, committed durably.

        `work` gets all the items that wait for it and returns one result for each. Who stops
        waiting does not stop the transaction, unless it has not begun.
        """
        if self._closed:
            raise StoreUnavailable("the store is closed")
        deadline = self._loop.time() + self._timeout
        job = Job(work, item, self._loop.create_future(), deadline)
        self._waiting[job] = None
        if self._alarm is None:
            self._alarm = self._loop.call_at(deadline, self._end_waiting)
        try:
            self._submit(job)
            result: R = await job.future
            return result
        finally:
            del self._waiting[job], job  # an error's traceback holds this frame

    def _end_waiting(self) -> None:
        """Tells those whose time is up. One timer for all costs nothing where each has its own."""
        now, self._alarm = self._loop.time(), None
        for job in self._waiting:
            if job.deadline > now:
                self._alarm = self._loop.call_at(job.deadline, self._end_waiting)
                return
            if not job.future.done():
                fault = StoreUnavailable(f"no commit within {self._timeout:g} s")
                job.future.set_exception(fault)

    async def read(self, work: Callable[[Connection], R]) -> R:
        """What `work` reads, on a connection of its own."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        try:
            async with asyncio.timeout(self._timeout):
                return await self._read(work)
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise fault_of(error) from error

    @abstractmethod
    async def open(self, prepare: Callable[[Connection], None]) -> None:
        """Connects, and runs `prepare` under a lock that no other process holds."""

    @abstractmethod
    async def close(self) -> None:
        """Commits what waits and lets go."""

    @abstractmethod
    def disk(self) -> tuple[int, int] | None:
        """Free and whole size of the database's disk, in octets; None if it is not ours to see."""

    @abstractmethod
    def _submit(self, job: Job) -> None: ...

    @abstractmethod
    async def _read(self, work: Callable[[Connection], R]) -> R: ...


def settle(transaction: Transaction, jobs: Sequence[Job]) -> list[Any]:
    """What became of each job: its result, or the exception that it is to raise.

    A batch that fails is rolled back and each job is tried on its own, so that one bad item does
    not fail its neighbours; unless the database is away, which it is for all of them.
    """
    try:
        return _together(transaction, jobs)
    except Exception as error:
        fault = outcome_of(error)
        if len(jobs) == 1 or _is_away(fault):
            return [fault] * len(jobs)
        log.warning("a batch of %d failed, each is tried alone: %s", len(jobs), fault)
    outcomes: list[Any] = []
    for job in jobs:
        away = outcomes and _is_away(outcomes[-1])
        outcomes.append(outcomes[-1] if away else settle(transaction, [job])[0])
    return outcomes


def _is_away(outcome: Any) -> bool:
    return isinstance(outcome, StoreUnavailable) and not isinstance(outcome, Contended)


def _together(transaction: Transaction, jobs: Sequence[Job]) -> list[Any]:
    by_work: dict[Work[Any, Any], list[int]] = {}
    for position, job in enumerate(jobs):
        by_work.setdefault(job.work, []).append(position)
    outcomes: list[Any] = [None] * len(jobs)
    with transaction() as connection:
        for work, positions in by_work.items():
            results = work(connection, [jobs[position].item for position in positions])
            for position, result in zip(positions, results, strict=True):
                outcomes[position] = result
    return outcomes


def deliver(jobs: Sequence[Job], outcomes: Sequence[Any]) -> None:
    """Tells everyone who still waits."""
    for job, outcome in zip(jobs, outcomes, strict=True):
        if job.future.done():
            continue
        if isinstance(outcome, Exception):
            job.future.set_exception(outcome)
        else:
            job.future.set_result(outcome)


def outcome_of(error: Exception) -> Exception:
    """The fault of it for those who wait, without tracebacks.

    Their frames hold the jobs, and a job its future with the fault: in such a ring the octets would
    stay until the oldest generation is collected. Of an error that is not ours, the lines are noted
    for whoever logs it.
    """
    fault = fault_of(error)
    if not isinstance(fault, StoreError):
        fault.add_note("".join(traceback.format_tb(fault.__traceback__)))
    _drop_tracebacks(fault)
    return fault


def _drop_tracebacks(error: BaseException | None) -> None:
    if error is not None:
        error.__traceback__ = None
        _drop_tracebacks(error.__cause__)
        if error.__context__ is not error.__cause__:
            _drop_tracebacks(error.__context__)


def fault_of(error: Exception) -> Exception:
    """The error a caller gets: ours if the database cannot do it now, else the error itself."""
    if isinstance(error, StoreError):
        return error
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    if isinstance(cause, sqlite3.Error):
        fault = _sqlite_fault(cause)
    elif isinstance(error, DBAPIError):
        fault = _postgresql_fault(cause)
    elif isinstance(error, SQLAlchemyError | OSError):  # the pool, the network, a TimeoutError
        fault = StoreUnavailable(f"the database is away: {error or type(error).__name__}")
    else:
        fault = _postgresql_fault(error) if hasattr(error, "sqlstate") else None
    if fault is None:
        return error
    fault.__cause__ = error
    return fault


def _sqlite_fault(error: sqlite3.Error) -> StoreError | None:
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
        return StoreFull("the disk is full")
    if isinstance(error, sqlite3.IntegrityError | sqlite3.DataError | sqlite3.ProgrammingError):
        return None
    return StoreUnavailable(f"SQLite: {error}")


def _postgresql_fault(error: BaseException) -> StoreError | None:
    state = getattr(error, "sqlstate", None) or ""
    if state == _DISK_FULL:
        return StoreFull("the disk of PostgreSQL is full")
    if state in _CONTENTION:
        return Contended(f"PostgreSQL: {error}")
    if state[:2] in _OWN_FAULTS:
        return None
    return StoreUnavailable(f"PostgreSQL: {error}")
