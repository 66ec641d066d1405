"""The tables that the migrations make, and databases that are older or newer."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from bouncer.errors import ConfigurationError, StoreUnavailable
from bouncer.store.schema import metadata
from bouncer.store.store import Store, upgrade
from tests.store.samples import received


def _text(options: dict[str, Any]) -> str:
    return str({name: str(value) for name, value in options.items()})


def _described(connection: Connection) -> dict[str, Any]:
    inspector = inspect(connection)
    return {
        table: (
            [(c["name"], str(c["type"]), c["nullable"]) for c in inspector.get_columns(table)],
            inspector.get_pk_constraint(table)["constrained_columns"],
            sorted(
                (str(i["name"]), tuple(i["column_names"]), _text(i.get("dialect_options", {})))
                for i in inspector.get_indexes(table)
            ),
        )
        for table in inspector.get_table_names()
        if table != "alembic_version"
    }


async def test_the_migrations_make_the_tables_of_the_schema(store: Store) -> None:
    def compare(connection: Connection, items: object) -> list[Any]:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
        migrated = _described(connection)
        metadata.drop_all(connection)
        metadata.create_all(connection)
        return [(differences, migrated, _described(connection))]

    differences, migrated, created = await store.database.write(compare, None)
    assert differences == []
    assert migrated == created
    assert len(migrated) == len(metadata.tables)


async def test_several_that_start_at_once_migrate_once(store_url: str) -> None:
    stores = await asyncio.gather(*(Store.open(store_url) for _ in range(3)))
    new = await asyncio.gather(*(store.inbox.receive([received()]) for store in stores))
    assert sorted(new) == [[False], [False], [True]]
    for store in stores:
        await store.close()


async def _write(store: Store, sql: str) -> None:
    def run(connection: Connection, statements: Sequence[str]) -> list[int]:
        return [connection.execute(text(statement)).rowcount for statement in statements]

    await store.database.write(run, sql)


async def test_a_database_of_a_newer_version_is_refused(store_url: str) -> None:
    store = await Store.open(store_url)
    await _write(store, "UPDATE alembic_version SET version_num = '9999'")
    await store.close()
    for migrate in (True, False):
        with pytest.raises(ConfigurationError, match=r"newer bouncer.*9999"):
            await Store.open(store_url, migrate=migrate)


async def test_without_migrating_an_old_database_is_refused(store_url: str) -> None:
    if store_url.startswith("sqlite"):
        await asyncio.to_thread(Path(store_url.removeprefix("sqlite:///")).touch)
    with pytest.raises(ConfigurationError, match="bouncer db upgrade"):
        await Store.open(store_url, migrate=False)
    await asyncio.to_thread(upgrade, store_url)
    await (await Store.open(store_url, migrate=False)).close()


@pytest.mark.parametrize(
    "url",
    ["mysql://x/y", "not a url", "sqlite://", "sqlite:///:memory:", "sqlite:////no/such/dir/b"],
)
async def test_a_url_that_cannot_be_used_is_said_so(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"store\.url"):
        await Store.open(url)


async def test_a_server_that_is_not_there_is_unavailable(free_port: Any) -> None:
    with pytest.raises(StoreUnavailable):
        await Store.open(f"postgresql://bouncer@127.0.0.1:{free_port()}/bouncer")
