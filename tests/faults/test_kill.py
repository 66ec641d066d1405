"""kill -9 at random under load loses nothing that was acknowledged, and doubles nothing."""

import asyncio
import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults import proc
from tests.faults.clients import KEPT, Client, Load, bounce
from tests.faults.conftest import Service
from tests.faults.scale import Run
from tests.faults.state import assert_each_once, stored_ids, wait_until_read
from tests.servers.bouncer import Bouncer, wait_until

CLIENTS = 8
PAUSE = 0.005  # of a client between two messages: some load, and time for others
KILLS_OF_A_STORE = 10
MEMORY = 500 * 2**20  # of a reader: by it those are known that have started
PIPELINE = {"readers": 2, "reader_memory_bytes": MEMORY}


@pytest.fixture(params=["sqlite", "postgresql"])
def next_store(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Callable[[], tuple[str, Path | None]]:
    """The URLs of empty databases, one after another, of each kind in turn; the file, if one."""
    if request.param == "postgresql":
        server = request.getfixturevalue("postgresql")
        return lambda: (asyncio.run(server.fresh()), None)

    def fresh() -> tuple[str, Path]:
        folder = tmp_path / f"store-{time.monotonic_ns()}"
        folder.mkdir()
        return f"sqlite:///{folder}/bouncer.db", folder / "bouncer.db"

    return fresh


def test_what_was_acknowledged_survives_kill_9(
    next_store: Callable[[], tuple[str, Path | None]], service: Service
) -> None:
    url, file = next_store()
    run = Run(f"kills-{url.partition(':')[0]}", ci=20, full=500)
    while run.left:
        kills = min(run.left, KILLS_OF_A_STORE)
        with run.counting(kills), service(store={"url": url}, pipeline={"lease": "2s"}) as bouncer:
            bouncer.start()
            with Load(bouncer.smtp_port, CLIENTS, pause=PAUSE) as load:
                for _ in range(kills):
                    _kill_and_start(bouncer, load, file, run)
                load.finish()
            wait_until_read(bouncer)
            assert_each_once(bouncer, load.acknowledged, load.begun)
            _assert_nothing_else(bouncer, load)
        url, file = next_store()


def _kill_and_start(bouncer: Bouncer, load: Load, file: Path | None, run: Run) -> None:
    time.sleep(random.uniform(0.3, 1.2))
    bouncer.kill()
    if file is not None:
        known = set(load.acknowledged.values())
        lost = known - stored_ids(file)
        assert not lost, f"{len(lost)} acknowledged, not stored"
    began = time.monotonic()
    bouncer.start()
    run.worst(ready_seconds=time.monotonic() - began)


def _assert_nothing_else(bouncer: Bouncer, load: Load) -> None:
    assert not [reply for reply in load.refused if reply.startswith("5")], load.refused
    assert bouncer.metric('bouncer_inbox_messages{state="quarantined"}') == 0


def test_a_killed_reader_costs_no_message(service: Service) -> None:
    run = Run("kills-reader", ci=5, full=500)
    while run.left:
        kills = min(run.left, 50)
        with run.counting(kills), service(pipeline=PIPELINE) as bouncer:
            bouncer.start()
            with Load(bouncer.smtp_port, CLIENTS, pause=PAUSE) as load:
                for _ in range(kills):
                    time.sleep(random.uniform(0.1, 0.5))
                    _kill_a_reader(bouncer)
                load.finish()
            wait_until_read(bouncer)
            assert_each_once(bouncer, load.acknowledged, load.begun)
            _assert_nothing_else(bouncer, load)


def test_a_reader_killed_while_it_starts_is_no_crash_of_the_message(service: Service) -> None:
    with service(pipeline={"reader_memory_bytes": MEMORY}) as bouncer:
        bouncer.start()
        _kill_a_reader(bouncer)
        with Client(bouncer.smtp_port) as client:
            assert client.send(bounce(0)).startswith(KEPT)
            wait_until(lambda: proc.readers(bouncer.pid))
            (starting,) = proc.readers(bouncer.pid)
            os.kill(starting, signal.SIGKILL)
        wait_until_read(bouncer)
        assert_each_once(bouncer, [0], 1)
        with closing(sqlite3.connect(bouncer.folder / "bouncer.db")) as store:
            assert store.execute("SELECT crashes FROM inbox").fetchall() == [(1,)]


def _kill_a_reader(bouncer: Bouncer) -> None:
    def working() -> list[int]:
        return [r for r in proc.readers(bouncer.pid) if proc.is_limited(r, MEMORY)]

    wait_until(working)
    os.kill(random.choice(working()), signal.SIGKILL)


def test_a_service_with_a_large_backlog_is_ready_again_at_once(service: Service) -> None:
    run = Run("backlog", ci=2_000, full=100_000)
    while run.left:
        count = run.left
        with run.counting(count), service() as bouncer:
            bouncer.start("--only", "smtp,api")  # nobody reads
            with Load(bouncer.smtp_port, CLIENTS, count=count) as load:
                load.join(1800)
            bouncer.kill()
            began = time.monotonic()
            bouncer.start()
            run.worst(ready_seconds=time.monotonic() - began)
            wait_until_read(bouncer, seconds=1800)
            assert_each_once(bouncer, range(count), count)
