"""Reading and classifying, beside flufl.bounce and the standard library's parser.

    python benchmarks/classify.py [FOLDER ...] [--rounds 7] [--json]

In each round every candidate reads every message of the folders (default: the project's own
samples), in alternation, on one core; printed are the medians of the rounds and their ratios to
bouncer's. Ratios within one run are what to quote: the figures move with the machine.
"""

import argparse
import email
import email.policy
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from flufl.bounce import all_failures

from bouncer.classify import rules
from bouncer.events import Source
from bouncer.reading import Arrival, read_arrival

SAMPLES = Path(__file__).parents[1] / "tests/corpus"
AT = datetime(2026, 3, 1, tzinfo=UTC)
_COPIES = 3
OURS = "bouncer: parse, read, classify"
OURS_NEW = "bouncer, replies it has not seen before"

# Targets of the project: bouncer at least this many times as fast.
TARGETS = {"flufl.bounce all_failures, parse included": 4.0, "email.message_from_bytes alone": 1.8}


def ours() -> Callable[[bytes], object]:
    """bouncer, prepared, with no reply remembered."""
    ruleset = rules.load()
    ruleset.prepare()

    # The id of a message is made at the door, when it is received.
    arrival = Arrival("benchmark", "", Source.FILE, AT)
    return lambda octets: read_arrival(octets, arrival, {}, ruleset)


def candidates() -> dict[str, Callable[[bytes], object]]:
    """What is compared: each takes the octets of one message."""

    def flufl(octets: bytes) -> object:
        try:
            return all_failures(email.message_from_bytes(octets))
        except Exception as error:  # some messages are more than it can take
            return error

    return {
        OURS: ours(),
        "flufl.bounce all_failures, parse included": flufl,
        "email.message_from_bytes alone": email.message_from_bytes,
        "email.message_from_bytes, policy.default": lambda octets: email.message_from_bytes(
            octets, policy=email.policy.default
        ),
    }


def measure(messages: Sequence[bytes], rounds: int) -> dict[str, float]:
    """Median seconds of processor time a message, by candidate: other work does not count."""
    running = candidates()
    seconds: dict[str, list[float]] = {}
    for _ in range(rounds):
        running[OURS_NEW] = ours()
        for name, read in running.items():
            started = time.process_time()
            for octets in messages:
                read(octets)
            spent = time.process_time() - started
            seconds.setdefault(name, []).append(spent / len(messages))
    return {name: statistics.median(values) for name, values in seconds.items()}


def slowest(messages: Sequence[bytes]) -> float:
    """Seconds of the slowest message, each at its best of three."""
    read = candidates()[OURS]
    return max(min(_timed(read, octets) for _ in range(3)) for octets in messages)


def command(messages: Sequence[bytes], rounds: int) -> float:
    """Median seconds a message through `bouncer classify --format jsonl`, start-up aside."""
    with tempfile.TemporaryDirectory() as folder:
        once, often = Path(folder, "once"), Path(folder, "often")
        for top, copies in ((once, 1), (often, 1 + _COPIES)):
            for number, octets in enumerate(messages * copies):
                top.mkdir(exist_ok=True)
                (top / f"{number}.eml").write_bytes(octets)
        spans = [_run(often) - _run(once) for _ in range(rounds)]
    return statistics.median(spans) / len(messages) / _COPIES


def _run(folder: Path) -> float:
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "bouncer", "classify", "--format", "jsonl", str(folder)],
        stdout=subprocess.DEVNULL,
        check=False,
    )
    return time.perf_counter() - started


def _timed(read: Callable[[bytes], object], octets: bytes) -> float:
    started = time.perf_counter()
    read(octets)
    return time.perf_counter() - started


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    arguments.add_argument("folders", nargs="*", type=Path, default=[SAMPLES])
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--json", action="store_true")
    options = arguments.parse_args()
    warnings.simplefilter("ignore")
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    files = sorted(
        p
        for f in options.folders
        for p in f.rglob("*")
        if p.is_file() and p.suffix not in (".json", ".py")
    )
    messages = [path.read_bytes() for path in files]
    if not messages:
        sys.exit("no messages there")
    figures = measure(messages, options.rounds)
    figures[f"{OURS}, by the command"] = command(messages, options.rounds)
    if options.json:
        print(json.dumps({"messages": len(messages), "seconds": figures}))
        return
    print(f"{len(messages)} messages, one core, median of {options.rounds} rounds\n")
    for name, seconds in sorted(figures.items(), key=lambda item: item[1]):
        ratio = seconds / figures[OURS]
        target = f"  (target: at least {TARGETS[name]:g})" if name in TARGETS else ""
        print(f"{name:46}{seconds * 1e6:9.1f} µs a message{ratio:8.2f} × bouncer{target}")
    print(f"\nslowest message: {slowest(messages) * 1e3:.2f} ms")


if __name__ == "__main__":
    main()
