"""Octets that no client would send: the door answers, keeps its temper and its secrets.

FUZZ_SESSIONS and FUZZ_SEED say how many sessions, and which, as in tests/reports/test_fuzz.py.
"""

import asyncio
import logging
import os
import random
import re
from collections.abc import Iterator

import pytest

from bouncer.config import SmtpLimits
from bouncer.ingest.door import Door
from bouncer.metrics import Metrics
from tests.ingest.client import Client, until
from tests.ingest.conftest import Opening
from tests.ingest.dialog import octets_of
from tests.ingest.inbox import MemoryInbox
from tests.ingest.test_dialogs import DIALOGS

SESSIONS = int(os.environ.get("FUZZ_SESSIONS", "2000"))
SEED = os.environ.get("FUZZ_SEED", "0")
AT_ONCE = 25
PIECES = [
    octets_of(line[3 if line[1:2] == ">" else 2 :])
    for dialog in DIALOGS
    for line in dialog.lines
    if line.startswith(">") and "*" not in line
]
ENDS = [b"\r\n"] * 12 + [b"\n", b"\r", b"", b"\r\n.\r\n", b"\r\n\r\n"]
SECRETS = re.compile(rb"Traceback|Error|/usr|/var|/home|sqlite|asyncio|aiosmtpd|Exception")
REPLY = re.compile(rb"(?:220 mx|250[ -]|354 |[245]\d\d [245]\.\d{1,3}\.\d{1,3} )[ -~]*\Z")


def session(random_: random.Random) -> Iterator[bytes]:
    """A few pieces of dialogs, some of them spoilt."""
    if random_.random() < 0.8:
        yield b"EHLO client.example\r\n"
    if random_.random() < 0.5:
        yield b"MAIL FROM:<>\r\nRCPT TO:<b+1@bounces.example>\r\n"
    for _ in range(random_.randrange(12)):
        piece = bytearray(random_.choice(PIECES))
        for _ in range(random_.choice((0, 0, 0, 1, 3))):
            position = random_.randrange(len(piece) + 1)
            piece[position : position + random_.randrange(3)] = random_.randbytes(
                random_.randrange(4)
            )
        yield bytes(piece) + random_.choice(ENDS)


async def play(opened: Door, number: int) -> bytes:
    """What the door said to this session, cut into random segments."""
    random_ = random.Random(f"{SEED} {number}")
    client = await Client.connect(opened.addresses[0])
    octets = b"".join(session(random_))
    while octets and not client.closed:
        size = random_.choice((1, 2, 7, 100, 5000))
        await client.send(octets[:size])
        octets = octets[size:]
        await asyncio.sleep(0)
    if not client.closed:
        client.half_close()
    await client.end()
    client.close()
    return bytes(client.received)


async def test_no_octets_bring_the_door_out_of_step(
    door: Opening, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    print(f"\nFUZZ_SEED={SEED} FUZZ_SESSIONS={SESSIONS}")
    caplog.set_level(logging.INFO)
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: faults.append(context))
    async with door(MemoryInbox(), limits=SmtpLimits(connections=AT_ONCE * 2)) as opened:
        for first in range(0, SESSIONS, AT_ONCE):
            said = await asyncio.gather(*(play(opened, first + n) for n in range(AT_ONCE)))
            for number, octets in enumerate(said):
                _check(octets, first + number)
        await until(lambda: metrics.registry.get_sample_value("bouncer_smtp_sessions") == 0)
    assert faults == []
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []
    assert all(record.getMessage().isprintable() for record in caplog.records)


def _check(octets: bytes, number: int) -> None:
    assert not SECRETS.search(octets), (number, octets)
    lines = octets.split(b"\r\n")
    assert lines.pop() == b"", (number, octets)
    for line in lines:
        assert REPLY.match(line), (number, line)
