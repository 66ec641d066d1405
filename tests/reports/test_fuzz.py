"""Mutated reports: no exception, bounded time and memory, valid JSON, the same answer twice.

FUZZ_MUTANTS says how many; `make fuzz` reads a hundred thousand. FUZZ_SEED says which: others with
each `make fuzz`, and again those of a run that failed, when it is given the seed that was printed.
"""

import json
import os
import random
import resource
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bouncer.classify.rules import Ruleset, load
from bouncer.events import Source
from bouncer.reading import Arrival, read_arrival

MUTANTS = int(os.environ.get("FUZZ_MUTANTS", "2000"))
SEED = os.environ.get("FUZZ_SEED", "0")
PORTIONS = 20
MAX_SECONDS = 1.0
MAX_MIB = 256
SAMPLES = [
    path.read_bytes() for path in sorted((Path(__file__).parent.parent / "corpus").rglob("*.eml"))
]
SPLICES = (
    b"", b"\x00", b"\n", b"\r", b"\n\n", b"--", b"=?utf-8?B?/w==?=", b"=ED=A0=80", b"\xed\xa0\x80",
    b"charset=zlib_codec", b"charset=utf-7", b"charset=utf-16", b"charset*0*=x''y", b"boundary=",
    b"Content-Transfer-Encoding: base64\n", b"Content-Type: multipart/mixed; boundary=x\n\n--x\n",
    b"Final-Recipient: rfc822;", b"Action: ", b"Status: 5.", b"550-", b"@", b"\xff" * 50,
    b"<" * 200, b"Feedback-Type: abuse\n", b"X-Failed-Recipients: ", b'"', b" " * 300,
    b"\n>>> RCPT To:<", b"\n<<< 550-", b"... while talking to ", b"(in reply to ", b"605 ",
)  # fmt: skip
_ARRIVAL = Arrival("fuzz", "", Source.FILE, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture(scope="module")
def rules() -> Ruleset:
    ruleset = load()
    ruleset.prepare()
    return ruleset


@dataclass
class Tally:
    """What the mutants turned out to be."""

    read: int = 0
    events: int = 0
    slowest: float = 0.0


def mutant(source: random.Random) -> bytes:
    """A sample with up to six pieces cut, doubled, overwritten or exchanged."""
    octets = source.choice(SAMPLES)
    for _ in range(source.randint(1, 6)):
        begin = source.randrange(len(octets) + 1)
        end = min(len(octets), begin + source.choice((0, 1, 2, 10, 80, 400)))
        match source.randrange(4):
            case 0:
                octets = octets[:begin] + octets[end:]
            case 1:
                octets = octets[:end] + octets[begin:end] * source.randint(1, 4) + octets[end:]
            case 2:
                octets = octets[:begin] + source.choice(SPLICES) + octets[begin:]
            case _:
                other = source.choice(SAMPLES)
                cut = source.randrange(len(other) + 1)
                octets = octets[:begin] + other[cut : cut + 600] + octets[end:]
    return octets


def told(octets: bytes, rules: Ruleset, tally: Tally) -> list[str]:
    """The events as JSON that any reader and any database takes."""
    began = time.process_time()
    reading = read_arrival(octets, _ARRIVAL, {}, rules)
    tally.slowest = max(tally.slowest, time.process_time() - began)
    written = [event.model_dump_json() for event in reading.events]
    for text in written:
        assert "\\u0000" not in text
        assert len((json.loads(text)["diagnostic"] or "").encode()) <= 8192
    tally.read += 1
    tally.events += len(written)
    return written


def peak_mib() -> float:
    """The most memory that this process ever used."""
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


@pytest.mark.parametrize("portion", range(PORTIONS))
def test_mutants_are_read_twice_alike_within_bounds(portion: int, rules: Ruleset) -> None:
    print(f"\nFUZZ_SEED={SEED} FUZZ_MUTANTS={MUTANTS}")
    source, tally, before = random.Random(f"{SEED} {portion}"), Tally(), peak_mib()
    for _ in range(-(-MUTANTS // PORTIONS)):
        octets = mutant(source)
        assert told(octets, rules, tally) == told(octets, rules, tally)
    print(
        f"portion {portion + 1} of {PORTIONS}: {tally.read // 2} mutants, {tally.events // 2} "
        f"events, slowest {tally.slowest * 1000:.1f} ms, {peak_mib() - before:.0f} MiB more"
    )
    assert tally.slowest < MAX_SECONDS
    assert peak_mib() - before < MAX_MIB
