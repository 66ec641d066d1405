"""How fast bounces become stored events, beside a real Postfix that only queues them.

    python benchmarks/pipeline.py [--messages 5000] [--rounds 3] [--postgresql] [--json]

Each round starts a new `bouncer serve`, sends it messages that differ over 20 connections, and
waits until the events of all of them are stored; then Postfix takes the same into its queue (HOLD).
Servers and load share the whole machine. Figures move with the machine and the hour: quote the
ratios of one run, and CPU time per message, which is steadier than messages per second.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))  # what starts real servers is with the tests

import ingest

from tests.servers import postgresql
from tests.servers.bouncer import Bouncer, running, wait_until

BOUNCER, POSTFIX = "bouncer", "postfix"
NAMES = {
    BOUNCER: "bouncer, until the events are stored",
    POSTFIX: "Postfix smtpd to queue (HOLD)",
}
ALL_CORES = os.sched_getaffinity(0)
CONFIG = {
    "domains": [{"bounce_domain": ingest.DOMAIN, "sending_domains": ["example.com"]}],
    "smtp": {"limits": {"messages": 100_000, "connections_per_network": 500}},
}


@dataclass(frozen=True, slots=True)
class Figures:
    """What one round, or the median of the rounds, says. CPU time is that of one message."""

    per_second: float
    taken_per_second: float  # until the last 250
    main_us: float  # the serving process: its event loop, and
    other_threads_us: float  # its other threads: the one that writes to SQLite
    readers_us: float  # its children, of Postfix all processes


def messages_for(name: str, count: int, connections: int) -> list[list[bytes]]:
    """Bounces of about 2.7 KB, each of another recipient, for each connection."""
    batches = ingest.messages_for(name, connections, count // connections)
    filler = b"X-Campaign: " + b"march " * 11 + b"\r\n"
    return [
        [
            message.replace(b"nobody@", b"nobody.%d.%d@" % (connection, number)).replace(
                b"List-Unsubscribe-Post", filler * 2 + b"List-Unsubscribe-Post"
            )
            for number, message in enumerate(batch)
        ]
        for connection, batch in enumerate(batches)
    ]


def measure_bouncer(server: Bouncer, connections: Sequence[Sequence[bytes]]) -> Figures:
    count = sum(len(messages) for messages in connections)
    before = _cpu(server.pid)
    began = time.perf_counter()
    seconds, _ = uvloop.run(ingest.load(server.smtp_port, connections))
    wait_until(
        lambda: sum(server.metrics("bouncer_messages_processed_total").values()) >= count,
        seconds=300,
    )
    whole = time.perf_counter() - began
    assert sum(server.metrics("bouncer_events_total").values()) == count
    main, others, below = (
        (a - b) / count * 1e6 for a, b in zip(_cpu(server.pid), before, strict=True)
    )
    return Figures(count / whole, count / seconds, main, others, below)


def measure_postfix(server: ingest.Server, connections: Sequence[Sequence[bytes]]) -> Figures:
    count = sum(len(messages) for messages in connections)
    before = sum(_cpu(server.pid))
    seconds, _ = uvloop.run(ingest.load(server.port, connections))
    cpu = (sum(_cpu(server.pid)) - before) / count * 1e6
    return Figures(count / seconds, count / seconds, 0, 0, cpu)


def _cpu(pid: int) -> tuple[float, float, float]:
    """Seconds used by the first thread of a process, by its other threads, by its children."""
    first = _seconds(Path(f"/proc/{pid}/task/{pid}/schedstat"))
    threads = sum(_seconds(p) for p in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return first, threads - first, sum(sum(_cpu(int(child))) for child in children)


def _seconds(schedstat: Path) -> float:
    with contextlib.suppress(OSError):
        return int(schedstat.read_text().split()[0]) / 1e9
    return 0.0


@contextlib.contextmanager
def bouncer_server(folder: Path, url: str | None) -> Iterator[Bouncer]:
    folder.mkdir()
    config = CONFIG | ({"store": {"url": url}} if url else {})
    with running(Bouncer(folder, free_port(), free_port(), config)) as server:
        wait_until(lambda: server.metrics("bouncer_build_info"))  # its readers have started
        yield server


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def compare(arguments: argparse.Namespace) -> dict[str, list[Figures]]:
    results: dict[str, list[Figures]] = {}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bouncer-bench-")))
        folder.chmod(0o755)
        database = stack.enter_context(postgresql.running()) if arguments.postgresql else None
        postfix = _postfix(stack, folder, wanted=not arguments.without_postfix)
        for number in range(arguments.rounds):
            name = f"{os.getpid():x}{number:03d}"
            load = messages_for(name, arguments.messages, arguments.connections)
            url = asyncio.run(database.fresh()) if database else None
            with bouncer_server(folder / f"bouncer-{number}", url) as server:
                results.setdefault(BOUNCER, []).append(measure_bouncer(server, load))
            if postfix is not None:
                results.setdefault(POSTFIX, []).append(measure_postfix(postfix, load))
    return results


def _postfix(stack: contextlib.ExitStack, folder: Path, *, wanted: bool) -> ingest.Server | None:
    """Postfix on all cores, or none and a loud reason."""
    if not wanted:
        return None
    if why := ingest.postfix_missing():
        print(f"NOT MEASURED: Postfix: {why}", file=sys.stderr)
        return None
    (folder / "postfix").mkdir(mode=0o755)
    server = stack.enter_context(ingest.postfix_server(folder / "postfix", free_port()))
    for pid in (server.pid, *map(int, _children(server.pid))):
        os.sched_setaffinity(pid, ALL_CORES)
    return server


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def medians(rounds: Sequence[Figures]) -> Figures:
    middle = {
        name: statistics.median(getattr(figures, name) for figures in rounds)
        for name in asdict(rounds[0])
    }
    return replace(rounds[0], **middle)


def ratio(results: dict[str, list[Figures]]) -> float | None:
    """The median of the ratios of each round: both servers of one had the same weather."""
    pairs = zip(results[BOUNCER], results.get(POSTFIX, ()), strict=False)
    found = [ours.per_second / theirs.per_second for ours, theirs in pairs]
    return statistics.median(found) if found else None


def show(results: dict[str, list[Figures]]) -> None:
    print(f"{'':38}{'msg/s':>8}{'250/s':>8}{'CPU µs: loop':>14}{'threads':>9}{'children':>9}")
    for kind, rounds in results.items():
        m = medians(rounds)
        print(
            f"{NAMES[kind]:38}{m.per_second:8.0f}{m.taken_per_second:8.0f}"
            f"{m.main_us:14.0f}{m.other_threads_us:9.0f}{m.readers_us:9.0f}"
        )
    if (found := ratio(results)) is not None:
        print(f"\nbouncer ÷ Postfix, messages per second: {found:.2f}  (at least 1.5, aim 3)")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--messages", type=int, default=5000, help="in each round")
    parser.add_argument("--postgresql", action="store_true", help="instead of SQLite")
    parser.add_argument("--without-postfix", action="store_true", help="measure bouncer alone")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    results = compare(arguments)
    if arguments.json:
        report = {
            "servers": {kind: asdict(medians(rounds)) for kind, rounds in results.items()},
            "ratio": ratio(results),
        }
        print(json.dumps(report, indent=2))
    else:
        show(results)


if __name__ == "__main__":
    main()
