"""What must hold after a fault: everything acknowledged is there once, and the file is sound."""

import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from tests.faults.clients import address
from tests.servers.bouncer import Bouncer, wait_until


def stored_ids(database: Path) -> set[str]:
    """The messages in a SQLite store that nobody has open, which is checked for damage.

    It looks at a copy: what the service would have to recover is left for it.
    """
    with tempfile.TemporaryDirectory(prefix="bouncer-copy-") as folder:
        for file in database.parent.glob(f"{database.name}*"):
            if not file.name.endswith("-owner"):
                shutil.copy(file, folder)
        with closing(sqlite3.connect(Path(folder, database.name))) as copy:
            assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            return {id_ for (id_,) in copy.execute("SELECT id FROM inbox")}


def wait_until_read(bouncer: Bouncer, seconds: float = 60) -> None:
    """Until no message waits and none is being read."""

    def unread() -> float:
        states = bouncer.metrics("bouncer_inbox_messages")
        assert states, "no metrics"
        return sum(n for labels, n in states.items() if "waiting" in labels or "reading" in labels)

    wait_until(lambda: unread() == 0, seconds=seconds, what=lambda: f"{unread()} are not read")


def assert_each_once(bouncer: Bouncer, acknowledged: Iterable[int], begun: int) -> None:
    """An event for each acknowledged bounce, none twice, none that nobody sent."""
    counted = Counter(event["recipient"] for event in bouncer.events())
    missing = [number for number in acknowledged if address(number) not in counted]
    assert not missing, f"{len(missing)} acknowledged, not there: {missing[:10]}"
    twice = [recipient for recipient, count in counted.items() if count > 1]
    assert not twice, f"{len(twice)} are there more than once: {twice[:10]}"
    foreign = set(counted) - {address(number) for number in range(begun)}
    assert not foreign, f"{len(foreign)} that nobody sent: {list(foreign)[:10]}"
