"""Checkpoints of SQLite's write-ahead log, made beside the writer and not in its commits.

A checkpoint copies pages from the log into the database and syncs both. As part of a commit, which
is SQLite's default, it keeps every sender waiting meanwhile. Here a thread of its own does it while
commits go on. What they have added until then are few pages: those the writer copies between two
commits, and the log is written from its start again. Nothing that was committed depends on it.
"""

import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

log = logging.getLogger(__name__)

# When a checkpoint is due: rows changed since the last (with small mail 25 MiB of log), or
# octets of log, which is cut to this length when it is written from its start again.
_ROWS = 4000
MAX_LOG_BYTES = 64 * 2**20
_COPY = "PRAGMA wal_checkpoint(PASSIVE)"  # which waits for nobody and makes nobody wait


class Checkpoints:
    """For a database file; `connect` makes a connection to it for the thread."""

    def __init__(self, path: Path, connect: Callable[[], sqlite3.Connection]) -> None:
        self._log = f"{path}-wal"
        self._connect = connect
        self._thread = threading.Thread(target=self._run, name="store-checkpoint", daemon=True)
        self._wanted: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._copied = threading.Event()
        self._copying = False
        self._seen = 0  # rows changed on the writer's connection at the last checkpoint

    def start(self) -> None:
        """Before the first commit: later there may be no room for a thread."""
        self._thread.start()

    def after_commit(self, writer: sqlite3.Connection) -> None:
        """Begins a checkpoint when it is due, or ends one that was begun."""
        if not self._copying:
            if self._is_due(writer.total_changes):
                self._seen = writer.total_changes
                self._copying = True
                self._wanted.put(True)
        elif self._copied.is_set():
            self._copied.clear()
            self._copying = False
            _copy(writer)

    def close(self, seconds: float) -> None:
        """Waits so long for a checkpoint that is running; there will be no other."""
        self._wanted.put(False)
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def _is_due(self, changes: int) -> bool:
        self._seen = min(self._seen, changes)  # a new connection counts from 0
        if changes - self._seen >= _ROWS:
            return True
        try:
            return os.stat(self._log).st_size > MAX_LOG_BYTES  # noqa: PTH116  once a commit
        except OSError:
            return False

    def _run(self) -> None:
        while self._wanted.get():
            try:
                with closing(self._connect()) as connection:
                    _copy(connection)
            except sqlite3.Error as error:
                log.warning("no connection to copy the write-ahead log: %s", error)
            finally:
                self._copied.set()


def _copy(connection: sqlite3.Connection) -> None:
    try:
        connection.execute(_COPY).fetchall()
    except sqlite3.Error as error:
        # All of it is still in the log, and the next checkpoint begins with it again.
        log.warning("the write-ahead log was not copied: %s", error)
