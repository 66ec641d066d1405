"""Databases that are locked, stopped, frozen, full or broken: said in time, and recovered from."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Connection, text

from bouncer.errors import StoreFull, StoreUnavailable
from bouncer.store.postgresql import dsn_of
from bouncer.store.store import Store
from tests.servers.postgresql import Postgresql, running
from tests.store.samples import many, received

_SOON = 1.0  # seconds, instead of the ten of the product


@pytest.fixture(scope="module")
def fragile() -> Iterator[Postgresql]:
    """A PostgreSQL that may be stopped."""
    with running() as server:
        yield server


@pytest.fixture
async def fragile_store(fragile: Postgresql) -> AsyncIterator[Store]:
    store = await Store.open(await fragile.fresh(), timeout=2 * _SOON)
    yield store
    await store.close()


async def _until_writable(store: Store) -> None:
    async with asyncio.timeout(20):
        while not await store.writable():  # noqa: ASYNC110 - what comes back tells nobody
            await asyncio.sleep(0.05)


async def test_a_stopped_postgresql_is_unavailable_until_it_is_back(
    fragile: Postgresql, fragile_store: Store
) -> None:
    store = fragile_store
    first, second, third = many(3)
    await store.inbox.receive([first])
    await asyncio.to_thread(fragile.stop)
    try:
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await store.inbox.receive([second])
            with pytest.raises(StoreUnavailable):
                await store.inbox.counts()
        assert not await store.writable()
    finally:
        await asyncio.to_thread(fragile.start)
    await _until_writable(store)
    assert await store.inbox.receive([first, third]) == [False, True]
    assert await store.inbox.octets(third.id) == third.octets


async def test_a_postgresql_that_restarted_meanwhile_is_not_noticed(
    fragile: Postgresql, fragile_store: Store
) -> None:
    await fragile_store.inbox.receive([received()])
    await asyncio.to_thread(fragile.stop, "fast")
    await asyncio.to_thread(fragile.start)
    assert await fragile_store.inbox.receive([received()]) == [False]


async def test_a_frozen_postgresql_is_unavailable_in_time(
    fragile: Postgresql, fragile_store: Store
) -> None:
    items = many(20)
    with fragile.frozen():
        outcomes = await asyncio.gather(
            *(fragile_store.inbox.receive([item]) for item in items),
            fragile_store.inbox.counts(),
            return_exceptions=True,
        )
        assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
    await _until_writable(fragile_store)
    await fragile_store.inbox.receive(items)
    assert await fragile_store.inbox.octets(items[0].id) == items[0].octets


async def test_a_locked_table_is_unavailable_until_it_is_free(
    fragile: Postgresql, fragile_store: Store
) -> None:
    [database] = [str(row) for row in await fragile_store.database.read(_database_name)]
    other = await asyncpg.connect(fragile.url(database))
    async with other.transaction():
        await other.execute("LOCK TABLE inbox")
        with pytest.raises(StoreUnavailable):
            await fragile_store.inbox.receive([received()])
    await other.close()
    await _until_writable(fragile_store)
    assert await fragile_store.inbox.receive([received()]) == [True]


def _database_name(connection: Connection) -> Sequence[Any]:
    return connection.execute(text("SELECT current_database()")).scalars().all()


@pytest.fixture
async def sqlite_store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(f"sqlite:///{tmp_path / 'bouncer.db'}", timeout=_SOON)
    yield store
    await store.close()


async def test_a_sqlite_that_another_process_locks_is_unavailable_until_it_is_free(
    tmp_path: Path, sqlite_store: Store
) -> None:
    other = sqlite3.connect(tmp_path / "bouncer.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    items = many(20)
    outcomes = await asyncio.gather(
        *(sqlite_store.inbox.receive([item]) for item in items), return_exceptions=True
    )
    assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
    assert (await sqlite_store.inbox.counts()) is not None  # readers do not mind
    other.execute("COMMIT")
    other.close()
    await _until_writable(sqlite_store)
    assert await sqlite_store.inbox.receive(items) == [True] * 20


async def test_a_full_disk_is_said_to_be_full_and_the_store_goes_on(sqlite_store: Store) -> None:
    def cap(connection: Connection, pages: Sequence[int]) -> list[None]:
        count = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        for more in pages:
            connection.exec_driver_sql(f"PRAGMA max_page_count = {count + more}")
        return [None] * len(pages)

    await sqlite_store.database.write(cap, 20)
    small, large = received(b"small"), received(b"x" * 200_000)
    outcomes = await asyncio.gather(
        sqlite_store.inbox.receive([small]),
        sqlite_store.inbox.receive([large]),
        return_exceptions=True,
    )
    assert outcomes[0] == [True]
    assert isinstance(outcomes[1], StoreFull)
    assert await sqlite_store.writable()
    await sqlite_store.database.write(cap, 2**20)
    assert await sqlite_store.inbox.receive([large]) == [True]


async def test_a_sqlite_that_cannot_be_written_is_unavailable_and_reopened(
    sqlite_store: Store,
) -> None:
    def forbid(connection: Connection, items: Sequence[None]) -> list[None]:
        connection.exec_driver_sql("PRAGMA query_only = ON")
        return [None] * len(items)

    await sqlite_store.database.write(forbid, None)
    with pytest.raises(StoreUnavailable):
        await sqlite_store.inbox.receive([received()])
    assert await sqlite_store.inbox.receive([received()]) == [True]  # on a new connection


@pytest.mark.parametrize(
    ("url", "dsn"),
    [
        ("postgresql+asyncpg://u:p%40@h/db", "postgresql://u:p%40@h/db"),
        ("postgresql://u@h/db?sslmode=require", "postgresql://u@h/db?sslmode=require"),
        (
            "postgresql:///db?host=/var/run/postgresql&connect_timeout=3&keepalives=1",
            "postgresql:///db?host=/var/run/postgresql",
        ),
    ],
)
def test_urls_as_users_of_libpq_write_them_are_understood(url: str, dsn: str) -> None:
    assert dsn_of(url) == dsn
