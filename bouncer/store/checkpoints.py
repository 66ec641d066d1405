"""Checkpoints of SQLite's write-ahead log, made beside the writer and not in its commits.

A checkpoint copies pages from the log into the database and syncs both. As part of a commit, which
is SQLite's default, it keeps every sender waiting meanwhile. Here a thread of its own does it while
commits go on. What they have added until then are few pages: those the writer copies between two
commits, and the log is written from its start again. Nothing that was committed depends on it.
"""

import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

log = logging.getLogger(__name__)

# Rows changed between two checkpoints: some 8 to 16 MiB of log.
_ROWS = 1500
_COPY = "PRAGMA wal_checkpoint(PASSIVE)"  # which waits for nobody and makes nobody wait


class Checkpoints:
    """`connect` makes a connection for the thread; `after_commit` is called on the writer's."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-checkpoint")
        self._closed = False
        self._copying: Future[None] | None = None
        self._seen = 0  # rows changed on the writer's connection at the last checkpoint

    def after_commit(self, writer: sqlite3.Connection) -> None:
        """Begins a checkpoint when enough was written, or ends one that was begun."""
        changes = writer.total_changes
        if self._copying is None:
            if self._closed:
                return
            self._seen = min(self._seen, changes)  # a new connection counts from 0
            if changes - self._seen >= _ROWS:
                self._seen = changes
                self._copying = self._thread.submit(self._copy)
        elif self._copying.done():
            self._copying = None
            _copy(writer)

    def close(self) -> None:
        """Waits for a checkpoint that is running; there will be no other."""
        self._closed = True
        self._thread.shutdown(cancel_futures=True)

    def _copy(self) -> None:
        # A handle of its own each time: one whose sync has failed is not asked again.
        connection = self._connect()
        try:
            _copy(connection)
        finally:
            connection.close()


def _copy(connection: sqlite3.Connection) -> None:
    try:
        connection.execute(_COPY).fetchall()
    except sqlite3.Error as error:
        # All of it is still in the log, and the next checkpoint begins with it again.
        log.warning("the write-ahead log was not copied: %s", error)
