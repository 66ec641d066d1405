"""A message that kills or hangs its reader: three tries, then it is put away, and nobody waits."""

import json
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from tests.faults import proc
from tests.faults.clients import KEPT, Client, Load, address
from tests.faults.conftest import Service
from tests.faults.state import wait_until_read
from tests.servers.bouncer import Bouncer, wait_until

OTHERS = 100
LARGE = b"Subject: large\r\n\r\n" + b"delivery to you failed\r\n" * 1_000_000
QUARANTINED = 'bouncer_inbox_messages{state="quarantined"}'


def test_a_message_that_needs_too_much_memory_is_put_away(service: Service) -> None:
    least = _least_memory(service)
    with service(pipeline={"reader_memory_bytes": least + len(LARGE) // 2}) as bouncer:
        bouncer.start()
        poison = _send(bouncer, LARGE)
        with Load(bouncer.smtp_port, 4, count=OTHERS) as load:
            load.join()
        _assert_put_away(bouncer, poison)


def test_a_message_that_hangs_its_reader_is_put_away(service: Service) -> None:
    memory = 500 * 2**20
    config = {"reader_memory_bytes": memory, "reader_timeout": "2s"}
    with service(pipeline=config) as bouncer:
        bouncer.start()
        wait_until(lambda: _working(bouncer, memory))
        usual = max(map(proc.memory, _working(bouncer, memory)))
        poison = _send(bouncer, LARGE)
        with Load(bouncer.smtp_port, 4, count=OTHERS) as load:
            stopped = list(_hung_over(bouncer, poison, memory, usual))
            load.join()
        assert len(stopped) == 3
        _assert_put_away(bouncer, poison)


def test_others_are_read_before_a_hanging_message_is_tried_again(service: Service) -> None:
    memory = 500 * 2**20
    config = {"readers": 1, "reader_memory_bytes": memory, "reader_timeout": "5s"}
    with service(pipeline=config) as bouncer:
        bouncer.start()
        wait_until(lambda: _working(bouncer, memory))
        (first,) = _working(bouncer, memory)
        usual = proc.memory(first)
        os.kill(first, signal.SIGSTOP)  # it hangs over the message that is sent now
        poison = _send(bouncer, LARGE)
        with Load(bouncer.smtp_port, 1, count=OTHERS) as load:
            load.join()
            for _ in _hung_over(bouncer, poison, memory, usual, first):
                assert len(bouncer.events(kind="bounce")) == OTHERS
        _assert_put_away(bouncer, poison)


def _least_memory(service: Service) -> int:
    """The address space of a reader that has read nothing yet."""
    with service() as bouncer:
        bouncer.start()
        wait_until(lambda: _working(bouncer, 512 * 2**20))
        (reader,) = proc.readers(bouncer.pid)
        return proc.memory(reader, "VmSize")


def _working(bouncer: Bouncer, memory: int) -> list[int]:
    return [r for r in proc.readers(bouncer.pid) if proc.is_limited(r, memory)]


def _send(bouncer: Bouncer, octets: bytes) -> str:
    """The id of the item."""
    with Client(bouncer.smtp_port) as client:
        reply = client.send(octets)
    assert reply.startswith(KEPT), reply
    return reply.rpartition(" ")[2]


def _hung_over(
    bouncer: Bouncer, poison: str, memory: int, usual: int, *stopped_before: int
) -> Iterator[int]:
    """Stops each reader that reads this message, until it is put away."""
    stopped = set(stopped_before)
    deadline = time.monotonic() + 90
    query = "SELECT state FROM inbox WHERE id = ?"
    with closing(sqlite3.connect(bouncer.folder / "bouncer.db")) as store:
        while (state := store.execute(query, (poison,)).fetchone()[0]) != "quarantined":
            assert state in ("waiting", "reading"), f"it is {state}: the reader was too quick"
            assert time.monotonic() < deadline, f"still {state}"
            for reader in set(_working(bouncer, memory)) - stopped:
                if proc.memory(reader) > usual + len(LARGE) // 2:  # it holds this message
                    os.kill(reader, signal.SIGSTOP)
                    stopped.add(reader)
                    yield reader
            time.sleep(0.002)


def _assert_put_away(bouncer: Bouncer, poison: str) -> None:
    """Seen in the API, in the metrics and in the store; the others are read."""
    wait_until_read(bouncer)
    events: list[dict[str, Any]] = bouncer.events(kind="unrecognised")
    assert [event["id"] for event in events] == [f"{poison}-0"]
    assert "quarantined" in events[0]["defects"][0]
    assert bouncer.metric(QUARANTINED) == 1
    assert bouncer.http.get(f"/v1/events/{poison}-0/raw").content == LARGE
    read = {event["recipient"] for event in bouncer.events(kind="bounce")}
    assert read == {address(number) for number in range(OTHERS)}
    deaths = bouncer.metrics("bouncer_reader_deaths_total")
    print(f"poison: {deaths}")
    with closing(sqlite3.connect(bouncer.folder / "bouncer.db")) as store:
        query = "SELECT id, crashes FROM inbox WHERE crashes > 0"
        assert store.execute(query).fetchall() == [(poison, 3)]
    assert bouncer.stop() == 0
    for line in bouncer.log_file.read_text().splitlines():
        json.loads(line)
