"""SIGTERM with fifty sessions open: none is cut inside DATA, all acknowledged is stored, exit 0."""

import time
from collections.abc import Iterator
from contextlib import ExitStack

from tests.faults.clients import KEPT, Client, bounce
from tests.faults.conftest import Service
from tests.faults.scale import FULL, Run
from tests.faults.state import assert_each_once, stored_ids, wait_until_read
from tests.servers.bouncer import Bouncer, wait_until

IDLE, IN_DATA = 30, 20
SHUTTING_DOWN = "421 4.3.2"
ACCEPT_SECONDS = 5 if FULL else 1  # full: what is the default
DRAINING = {"drain_accept": f"{ACCEPT_SECONDS}s", "drain_finish": "30s"}
AT_MOST_SECONDS = 40
ENDLESS = {**DRAINING, "drain_finish": "10m"}


def test_a_drain_cuts_nobody_inside_data(service: Service) -> None:
    run = Run("drains", ci=3, full=100)
    while run.left:
        with run.counting(1), service(smtp=DRAINING) as bouncer, ExitStack() as stack:
            idle, in_data = _open(bouncer, stack)
            began = time.monotonic()
            bouncer.terminate()
            _assert_taken_and_then_refused(bouncer, began)
            assert {client.reply()[:9] for client in idle} == {SHUTTING_DOWN}
            kept = {_end(client, number) for number, client in enumerate(in_data)}
            assert bouncer.wait(AT_MOST_SECONDS) == 0
            run.worst(seconds=time.monotonic() - began)
            _assert_kept(bouncer, kept)


def test_a_second_sigterm_ends_at_once_and_keeps_what_was_acknowledged(service: Service) -> None:
    run = Run("hurried-drains", ci=1, full=100)
    while run.left:
        with run.counting(1), service(smtp=ENDLESS) as bouncer, ExitStack() as stack:
            _, in_data = _open(bouncer, stack)
            bouncer.terminate()
            # Two signals at the same time are one.
            wait_until(lambda bouncer=bouncer: not bouncer.ready())
            for number, client in enumerate(in_data[:10]):  # whole, and on their way to the store
                client.write(_second_half(number))
            began = time.monotonic()
            bouncer.terminate()
            status = bouncer.wait(60)
            run.worst(seconds=time.monotonic() - began)
            replies = [_last_words(client) for client in in_data]
            kept = {reply.rpartition(" ")[2] for reply in replies if reply.startswith(KEPT)}
            cut = [reply for reply in replies if not reply.startswith((KEPT, "421"))]
            assert not [reply for reply in cut if reply], cut
            assert status == 0
            _assert_kept(bouncer, kept)


def _open(bouncer: Bouncer, stack: ExitStack) -> tuple[list[Client], list[Client]]:
    """Sessions that wait, and sessions of which each has sent half of its message."""
    bouncer.start()
    clients = [stack.enter_context(Client(bouncer.smtp_port)) for _ in range(IDLE + IN_DATA)]
    idle, in_data = clients[:IDLE], clients[IDLE:]
    for number, client in enumerate(in_data):
        assert client.begin().startswith("354")
        client.write(bounce(number)[:200])
    return idle, in_data


def _second_half(number: int) -> bytes:
    return bounce(number)[200:] + b".\r\n"


def _end(client: Client, number: int) -> str:
    """Sends the rest, bit by bit; the id of what was kept."""
    for octet in _pieces(_second_half(number)):
        client.write(octet)
    reply = client.reply()
    assert reply.startswith(KEPT), reply
    return reply.rpartition(" ")[2]


def _pieces(octets: bytes) -> Iterator[bytes]:
    for start in range(0, len(octets), 40):
        yield octets[start : start + 40]


def _last_words(client: Client) -> str:
    try:
        return client.reply()
    except (OSError, EOFError):
        return ""


def _assert_taken_and_then_refused(bouncer: Bouncer, began: float) -> None:
    """New connections: taken for a while, as the news travels, and then sent away."""
    assert bouncer.http.get("/readyz").status_code == 503
    greetings: list[str] = []

    def greeted() -> bool:
        with Client(bouncer.smtp_port) as client:
            greetings.append(client.greeting)
        return greetings[-1].startswith(SHUTTING_DOWN)

    wait_until(greeted, seconds=ACCEPT_SECONDS + 10, what=lambda: f"{greetings[-3:]}")
    assert all(greeting.startswith("220") for greeting in greetings[:-1])


def _assert_kept(bouncer: Bouncer, kept: set[str]) -> None:
    assert kept <= stored_ids(bouncer.folder / "bouncer.db")
    bouncer.start()
    wait_until_read(bouncer)
    assert_each_once(bouncer, [], IN_DATA)
    assert kept <= {event["id"].rpartition("-")[0] for event in bouncer.events()}
