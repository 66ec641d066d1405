"""Mail bombs at the real door: all are taken, nobody waits for them, memory is given back."""

import threading

from tests.faults import proc
from tests.faults.clients import KEPT, WARM_UP, Client, Load, address, large, percentile
from tests.faults.conftest import Service
from tests.faults.scale import Run
from tests.faults.state import wait_until_read
from tests.reports.test_bombs import BOMBS
from tests.servers.bouncer import Bouncer, wait_until

LARGEST = 512 * 2**20  # octets of any process
RECIPIENT = "bomb@bounces.example.com"


class Watch:
    """The largest any process of the service ever was, its readers included."""

    def __init__(self, bouncer: Bouncer) -> None:
        self.largest = 0
        self._pid = bouncer.pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.05):
            peaks = [proc.memory(p, "VmHWM") for p in (self._pid, *proc.readers(self._pid))]
            self.largest = max(self.largest, *peaks)


def test_mail_bombs_are_taken_and_hurt_nobody(service: Service) -> None:
    run = Run("bombs", ci=len(BOMBS), full=10 * len(BOMBS))
    while run.left:
        with run.counting(len(BOMBS)), service() as bouncer:
            bouncer.start()
            with Load(bouncer.smtp_port, 4, count=WARM_UP, make=large) as load:
                load.join()
            wait_until_read(bouncer)
            before = proc.memory(bouncer.pid)
            _throw(bouncer, run)
            _assert_memory_is_given_back(bouncer, before, run)


def _throw(bouncer: Bouncer, run: Run) -> None:
    """One of each, while another client sends its bounces."""
    beside = Load(bouncer.smtp_port, 1, pause=0.02)
    with Watch(bouncer) as watch, beside as load:
        for name, make in BOMBS.items():
            octets = make().replace(b"\n", b"\r\n")
            with Client(bouncer.smtp_port) as client:
                reply = client.send(octets, RECIPIENT)
            assert reply.startswith(KEPT), f"{name}: {reply}"
        load.finish()
        wait_until_read(bouncer, seconds=200)
        _assert_all_read(bouncer, load)
    run.worst(p99_seconds=percentile(load.seconds, 0.99), largest_mib=watch.largest / 2**20)
    assert watch.largest <= LARGEST, f"{watch.largest / 2**20:.0f} MiB"


def _assert_all_read(bouncer: Bouncer, load: Load) -> None:
    """An event at the least of each bomb, and of each bounce that was sent beside them."""
    assert not load.refused
    events = bouncer.events()
    bombs = {e["id"].rpartition("-")[0] for e in events if e["return_path"] == RECIPIENT}
    assert len(bombs) == len(BOMBS)
    recipients = {event["recipient"] for event in events}
    assert {address(number) for number in load.acknowledged} <= recipients


def _assert_memory_is_given_back(bouncer: Bouncer, before: int, run: Run) -> None:
    def grown() -> float:
        return proc.memory(bouncer.pid) / before - 1

    wait_until(lambda: grown() <= 0.10, seconds=60, what=lambda: f"grown by {grown():.1%}")
    run.worst(growth=grown())
