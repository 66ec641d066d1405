"""Many messages of every sort: the service is as large after the last as after the first tenth."""

from collections.abc import Callable
from pathlib import Path

from tests.faults import proc
from tests.faults.clients import WARM_UP, Load, large, percentile
from tests.faults.conftest import Service
from tests.faults.scale import Run
from tests.faults.state import wait_until_read
from tests.reports.test_bombs import BOMBS
from tests.servers.bouncer import Bouncer

CORPUS = Path(__file__).parents[1] / "corpus"
MOST_LOG = 64 * 2**20  # octets of SQLite's write-ahead log
BOMB_EVERY = 500
SMALL_BOMBS = 2**20


def test_neither_memory_nor_descriptors_grow_with_what_was_taken(service: Service) -> None:
    run = Run("soak", ci=10_000, full=100_000)
    if not run.left:
        return
    count = run.target
    with run.counting(run.left), service() as bouncer:
        bouncer.start()
        make = mail()
        _take(bouncer, WARM_UP, large, 0)
        _take(bouncer, count // 10, make, 0)
        first = _size(bouncer)
        load = _take(bouncer, count - count // 10, make, count // 10)
        last = _size(bouncer)
        print(f"soak: {first} after {count // 10}, {last} after {count}")
        run.worst(
            growth=last["memory"] / first["memory"] - 1,
            mib=last["memory"] / 2**20,
            log_mib=last["log"] / 2**20,
            p99_seconds=percentile(load.seconds, 0.99),
        )
        assert not load.refused
        assert last["memory"] <= first["memory"] * 1.10
        assert abs(last["descriptors"] - first["descriptors"]) <= 5
        assert last["log"] <= MOST_LOG
        finished = sum(bouncer.metrics("bouncer_messages_processed_total").values())
        assert finished == count + WARM_UP
        assert not sum(bouncer.metrics("bouncer_reader_deaths_total").values())


def mail() -> Callable[[int], bytes]:
    """Every sample of ours in turn, and a bomb now and then; each differs from every other."""
    samples = [path.read_bytes() for path in sorted(CORPUS.rglob("*.eml"))]
    bombs = [octets for make in BOMBS.values() if len(octets := make()) <= SMALL_BOMBS]
    assert samples
    assert bombs

    def make(number: int) -> bytes:
        kind = bombs if number % BOMB_EVERY == 0 else samples
        octets = b"X-Number: %d\n" % number + kind[number % len(kind)]
        return octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")

    return make


def _take(bouncer: Bouncer, count: int, make: Callable[[int], bytes], first: int) -> Load:
    with Load(bouncer.smtp_port, 8, count=count, make=lambda n: make(first + n)) as load:
        load.join(4 * 3600)
    wait_until_read(bouncer, seconds=3600)
    return load


def _size(bouncer: Bouncer) -> dict[str, int]:
    processes = [bouncer.pid, *proc.readers(bouncer.pid)]
    log = bouncer.folder / "bouncer.db-wal"
    return {
        "memory": sum(map(proc.memory, processes)),
        "descriptors": proc.descriptors(bouncer.pid),
        "log": log.stat().st_size if log.exists() else 0,
    }
