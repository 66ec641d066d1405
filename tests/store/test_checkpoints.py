"""The write-ahead log of SQLite: copied beside the commits, and bounded."""

import asyncio
import logging
import sqlite3
import threading
from pathlib import Path

import pytest

from bouncer.store.checkpoints import Checkpoints
from bouncer.store.store import Store
from tests.store.samples import received

_MIB = 2**20


async def test_the_log_does_not_grow_with_what_is_stored(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite:///{tmp_path / 'bouncer.db'}")
    try:
        for start in range(0, 6_000, 50):
            mail = [received(b"%d " % n + bytes(3000)) for n in range(start, start + 50)]
            await asyncio.gather(*(store.inbox.receive([item]) for item in mail))
        stored = (tmp_path / "bouncer.db").stat().st_size
        log = (tmp_path / "bouncer.db-wal").stat().st_size
    finally:
        await store.close()
    assert stored > 6 * _MIB  # nothing, were it never copied
    assert log < 64 * _MIB
    assert not (tmp_path / "bouncer.db-wal").exists()


async def test_the_log_of_few_large_messages_is_bounded_too(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite:///{tmp_path / 'bouncer.db'}")
    try:
        for n in range(60):
            await store.inbox.receive([received(b"%d " % n + bytes(5 * _MIB))])
        log = (tmp_path / "bouncer.db-wal").stat().st_size
    finally:
        await store.close()
    assert log < 160 * _MIB


def test_commits_go_on_while_the_log_is_copied(tmp_path: Path) -> None:
    path, held = tmp_path / "some.db", threading.Event()
    writer = _database(path)

    def connect() -> sqlite3.Connection:
        assert held.wait(10)
        return _connection(path)

    checkpoints = Checkpoints(path, connect)
    checkpoints.start()
    sizes = [_size_after(2500, writer, checkpoints) for _ in range(4)]
    assert sizes == sorted(set(sizes))  # nothing is copied yet, and nobody waits for it
    held.set()
    checkpoints.close(10)
    checkpoints.after_commit(writer)
    assert _size_after(100, writer, checkpoints) == sizes[-1]  # written from its start again
    writer.close()


def test_a_failed_copy_is_said_and_made_up_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "some.db"
    writer = _database(path)
    ways = [_connection, _closed]
    checkpoints = Checkpoints(path, lambda: ways.pop()(path))
    checkpoints.start()
    with caplog.at_level(logging.WARNING):
        while not caplog.records:
            _size_after(2500, writer, checkpoints)
    assert "was not copied" in caplog.text
    while ways:
        _size_after(2500, writer, checkpoints)
    checkpoints.close(10)
    writer.close()


def _size_after(rows: int, writer: sqlite3.Connection, checkpoints: Checkpoints) -> int:
    """How long the log is when so many rows were written and one more commit was told."""
    writer.execute("BEGIN")
    writer.executemany("INSERT INTO t VALUES (?)", [(bytes(500),) for _ in range(rows)])
    writer.execute("COMMIT")
    checkpoints.after_commit(writer)
    [(_, _, path)] = writer.execute("PRAGMA database_list").fetchall()
    return Path(f"{path}-wal").stat().st_size


def _connection(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


def _closed(path: Path) -> sqlite3.Connection:
    connection = _connection(path)
    connection.close()
    return connection


def _database(path: Path) -> sqlite3.Connection:
    connection = _connection(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("CREATE TABLE t (n)")
    return connection
