"""How transactions are shared."""

import asyncio
import gc
import sqlite3
import traceback
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from bouncer.errors import StoreUnavailable
from bouncer.store.database import Work
from bouncer.store.store import Store
from tests.store.samples import many, received


async def test_what_arrives_together_shares_transactions(store: Store) -> None:
    before = store.database.transactions
    new = await asyncio.gather(*(store.inbox.receive([item]) for item in many(200)))
    assert new == [[True]] * 200
    assert store.database.transactions - before < 20


async def test_a_lone_writer_does_not_wait_for_company(store: Store) -> None:
    before = store.database.transactions
    for item in many(5):
        await store.inbox.receive([item])
    assert store.database.transactions - before == 5


def _insert(connection: Connection, items: Sequence[str]) -> list[str]:
    for item in items:
        if item == "bad":
            raise ValueError("this one cannot be stored")
        connection.execute(
            text("INSERT INTO probes (name, written_at) VALUES (:name, 0)"), {"name": item}
        )
    return list(items)


async def _names(store: Store) -> list[str]:
    rows = await store.database.read(
        lambda connection: connection.execute(text("SELECT name FROM probes ORDER BY name")).all()
    )
    return [row.name for row in rows]


async def test_a_bad_item_does_not_fail_its_neighbours(store: Store) -> None:
    items = ["a", "b", "bad", "c", "a"]
    outcomes = await asyncio.gather(
        *(store.database.write(_insert, item) for item in items), return_exceptions=True
    )
    assert [outcomes[position] for position in (0, 1, 3)] == ["a", "b", "c"]
    assert isinstance(outcomes[2], ValueError)
    assert isinstance(outcomes[4], Exception)  # the key is there already
    assert not isinstance(outcomes[4], StoreUnavailable)
    assert await _names(store) == ["a", "b", "c"]


class Mail:
    """Something of which it can be seen that nobody holds it any more."""


def _refuse(connection: Connection, items: Sequence[Mail]) -> list[None]:
    connection.execute(text("SELECT nothing FROM nowhere"))
    return [None] * len(items)


def _stumble(connection: Connection, items: Sequence[Mail]) -> list[None]:
    raise ValueError("this one cannot be stored")


def _lose(connection: Connection, items: Sequence[Mail]) -> list[None]:
    raise ConnectionResetError


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("work", [_refuse, _stumble, _lose])
@pytest.mark.parametrize("count", [1, 3])
async def test_what_was_refused_is_kept_by_nobody(
    store: Store, work: Work[Mail, None], count: int
) -> None:
    mails = [Mail() for _ in range(count)]
    watched = [weakref.ref(mail) for mail in mails]
    waiters = [asyncio.create_task(_refused(store, work, mail)) for mail in mails]
    told = await asyncio.gather(*waiters)
    if work is not _lose:  # the log says where the unexpected happened
        assert all(work.__name__ in each for each in told)
    del mails, waiters
    await _until_gone(watched)


async def _refused(store: Store, work: Work[Mail, None], mail: Mail) -> str:
    try:
        await store.database.write(work, mail)
    except Exception as error:
        return "".join(traceback.format_exception(error))
    return "it was not refused"


@pytest.mark.usefixtures("no_collector")
async def test_what_was_written_is_kept_by_nobody(store: Store) -> None:
    mail = Mail()
    watch = weakref.ref(mail)
    await store.database.write(lambda _, items: [None] * len(items), mail)
    del mail
    await _until_gone([watch])


async def _until_gone(watched: Sequence[weakref.ref[Mail]]) -> None:
    async with asyncio.timeout(10):  # the writer may still be on its way back
        while any(watch() for watch in watched):  # noqa: ASYNC110 - what goes tells nobody
            await asyncio.sleep(0.01)


async def test_a_cancelled_waiter_neither_loses_nor_breaks_the_batch(store: Store) -> None:
    first, second, third = many(3)
    waiters = [asyncio.create_task(store.inbox.receive([item])) for item in (first, second, third)]
    await asyncio.sleep(0)
    waiters[1].cancel()
    outcomes = await asyncio.gather(*waiters, return_exceptions=True)
    assert outcomes[0] == outcomes[2] == [True]
    assert isinstance(outcomes[1], asyncio.CancelledError)
    assert await store.inbox.receive([first]) == [False]


async def test_closing_commits_what_waits(store_url: str) -> None:
    store = await Store.open(store_url)
    waiter = asyncio.create_task(store.inbox.receive([received()]))
    await asyncio.sleep(0)
    await store.close()
    assert await waiter == [True]
    with pytest.raises(StoreUnavailable):
        await store.inbox.receive([received()])
    again = await Store.open(store_url)
    assert await again.inbox.receive([received()]) == [False]
    await again.close()


async def test_the_store_is_writable_and_knows_its_room(store: Store, store_url: str) -> None:
    assert await store.writable()
    room = store.free_bytes()
    assert (room is not None and room > 0) is store_url.startswith("sqlite")


async def test_sqlite_commits_to_the_disk(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite:///{tmp_path / 'bouncer.db'}")

    def pragmas(connection: Connection, names: Sequence[str]) -> list[object]:
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

    names = ("journal_mode", "synchronous", "foreign_keys", "secure_delete", "auto_vacuum")
    found = [await store.database.write(pragmas, name) for name in names]
    await store.close()
    assert found == ["wal", 2, 1, 1, 2]


async def test_postgresql_commits_to_the_disk(store: Store, store_url: str) -> None:
    if store_url.startswith("sqlite"):
        return

    def setting(connection: Connection, names: Sequence[str]) -> list[object]:
        return [connection.execute(text(f"SHOW {name}")).scalar() for name in names]

    assert await store.database.write(setting, "synchronous_commit") == "on"


def _modes(directory: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o077 for path in directory.iterdir()}


async def test_what_is_kept_is_for_its_owner_only(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite:///{tmp_path / 'bouncer.db'}")
    await store.inbox.receive([received()])
    modes = _modes(tmp_path)
    await store.close()
    assert set(modes.values()) == {0}


async def test_a_command_beside_the_service_does_not_take_its_work(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'bouncer.db'}"
    service = await Store.open(url)
    await service.inbox.receive([received()])
    command = await Store.open(url)
    await command.close()
    integrity = sqlite3.connect(tmp_path / "bouncer.db")
    assert integrity.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    integrity.close()
    await service.close()
