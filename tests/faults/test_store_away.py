"""A store that stops: messages are put off, never refused, and all of them arrive in the end."""

import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.clients import DOMAINS, KEPT, Client, bounce
from tests.faults.conftest import Service
from tests.faults.scale import FULL, Run
from tests.faults.state import assert_each_once, wait_until_read
from tests.servers import postgresql as servers
from tests.servers.bouncer import Bouncer, wait_until
from tests.servers.postfix import Postfix, require_postfix
from tests.servers.postgresql import Postgresql

MESSAGES_PER_STOP = 100 if FULL else 34
LOCKED_SECONDS = 30 if FULL else 5


@pytest.fixture
def database() -> Iterator[Postgresql]:
    """A PostgreSQL that may be stopped: it is nobody else's."""
    with servers.running() as server:
        yield server


@pytest.fixture
def postfix(free_port: Callable[[], int]) -> Iterator[tuple[Postfix, int]]:
    """A Postfix that tries again after one second, and the port it delivers to."""
    require_postfix()
    relay = free_port()
    # Not below pytest's folder, which another pytest that starts closes to Postfix's user.
    root = Path(tempfile.mkdtemp(prefix="bouncer-postfix-"))
    patient = "bounce_queue_lifetime = 1d\nmaximal_queue_lifetime = 1d\ndelay_warning_time = 0\n"
    try:
        sender = Postfix(root, free_port(), relay, patient)
        sender.start()
        try:
            yield sender, relay
        finally:
            sender.stop()
    finally:
        shutil.rmtree(root, ignore_errors=True)


def test_what_postfix_has_queued_arrives_once_however_often_the_store_stops(
    postfix: tuple[Postfix, int],
    database: Postgresql,
    tmp_path: Path,
    free_port: Callable[[], int],
) -> None:
    sender, port = postfix
    run = Run("store-stops", ci=3, full=20)
    stops = run.left
    config = {"domains": DOMAINS, "store": {"url": database.url()}, "pipeline": {"lease": "2s"}}
    bouncer = Bouncer(tmp_path, port, free_port(), config)
    if not stops:
        return
    try:
        bouncer.start()
        with run.counting(stops):
            count = stops * MESSAGES_PER_STOP
            for stop in range(stops):
                _stop_and_start(database, bouncer, sender, stop * MESSAGES_PER_STOP)
            wait_until(lambda: sender.queued() == 0, seconds=300, what=lambda: sender.log()[-3000:])
            wait_until_read(bouncer)
            assert_each_once(bouncer, range(count), count)
            run.worst(messages=count)
            put_off = sum(bouncer.metrics("bouncer_messages_refused_total").values())
            assert put_off, "no message met a store that was away"
            run.worst(put_off=put_off)
            replies = bouncer.metrics("bouncer_smtp_replies_total")
            assert not [labels for labels in replies if 'code="5' in labels]
            assert "status=bounced" not in sender.log()
            assert bouncer.stop() == 0
    finally:
        bouncer.close()


def _queue(sender: Postfix, numbers: range) -> None:
    with Client(sender.port) as client:
        for number in numbers:
            assert client.send(bounce(number)).startswith("250")


def _stop_and_start(database: Postgresql, bouncer: Bouncer, sender: Postfix, first: int) -> None:
    """Down while it delivers, until a message was put off; then up until one was taken."""

    def put_off() -> float:
        return sum(bouncer.metrics("bouncer_messages_refused_total").values())

    def taken() -> float:
        return bouncer.metric('bouncer_messages_received_total{source="smtp"}')

    before, middle = put_off(), first + MESSAGES_PER_STOP // 2
    _queue(sender, range(first, middle))
    database.stop()
    _queue(sender, range(middle, first + MESSAGES_PER_STOP))
    wait_until(lambda: put_off() > before, seconds=60, what="nobody knocked at the door")
    assert bouncer.http.get("/healthz").status_code == 200
    assert bouncer.http.get("/readyz").status_code == 503
    before = taken()
    database.start()
    wait_until(lambda: taken() > before, seconds=60, what="nothing was taken any more")


def test_a_locked_sqlite_puts_messages_off_and_goes_on_when_it_is_free(service: Service) -> None:
    with service() as bouncer:
        bouncer.start()
        with closing(sqlite3.connect(bouncer.folder / "bouncer.db", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            began = time.monotonic()
            replies = _knock_until(bouncer, began + LOCKED_SECONDS)
            assert {reply[:9] for reply in replies} == {"451 4.3.0"}
            assert bouncer.http.get("/healthz").status_code == 200
            other.execute("ROLLBACK")
        wait_until(bouncer.ready, seconds=10)
        with Client(bouncer.smtp_port) as client:
            for number in range(len(replies)):
                assert client.send(bounce(number)).startswith(KEPT)
        wait_until_read(bouncer)
        assert_each_once(bouncer, range(len(replies)), len(replies))


def _knock_until(bouncer: Bouncer, deadline: float) -> list[str]:
    """What eight clients are told meanwhile, each bounce sent once."""
    replies: list[str] = []
    waits: list[float] = []

    def knock() -> None:
        while time.monotonic() < deadline:
            began = time.monotonic()
            with Client(bouncer.smtp_port, timeout=15) as client:  # nobody is left hanging
                replies.append(client.send(bounce(len(replies))))
            waits.append(time.monotonic() - began)

    clients = [threading.Thread(target=knock) for _ in range(8)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    print(f"locked: {len(replies)} answers, the slowest after {max(waits):.1f} s")
    return replies
