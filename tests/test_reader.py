"""Reader processes: what they give back, and what happens when one does not survive."""

import os
import resource
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bouncer.errors import ConfigurationError, ReaderDied
from bouncer.events import Source
from bouncer.reader import BatchDied, Reader, ReaderLimits, ReaderPool
from bouncer.records import InboxItem, MediaType
from bouncer.reports.report import Format, Kind
from tests.letters import OWN_RULE

EXAMPLE = (Path(__file__).parents[1] / "docs/examples/first-bounce.eml").read_bytes()
LIMITS = ReaderLimits(memory_bytes=512 * 2**20, timeout=timedelta(seconds=30))


def item(number: int, octets: bytes = EXAMPLE) -> InboxItem:
    return InboxItem(
        id=f"{number:032x}",
        source=Source.SMTP,
        recipient="x@bounces.test",
        sender="",
        octets=octets,
        received_at=datetime(2026, 3, 1, tzinfo=UTC),
        media_type=MediaType.MAIL,
        peer=None,
        attempts=1,
        crashes=0,
        claim="c",
    )


@pytest.fixture
async def reader() -> AsyncIterator[Reader]:
    one = Reader({"bounces.test": ("sender.test",)}, LIMITS)
    yield one
    await one.kill()


async def test_a_batch_comes_back_in_order(reader: Reader) -> None:
    letters = [item(0), item(1, b"Subject: Lunch\n\nAt noon?\n"), item(2)]
    readings = await reader.read(letters)
    assert [r.format for r in readings] == [Format.DSN, Format.UNRECOGNISED, Format.DSN]
    assert [r.events[0].id for r in readings] == [f"{n:032x}-0" for n in range(3)]
    assert readings[0].events[0].sending_domain == "sender.test"


async def test_a_reader_knows_the_reverse_path_of_what_came_over_smtp(reader: Reader) -> None:
    robot = b"From: a@b.example\n\nYou sent a mail to kat@b.example. The address was deactivated.\n"
    letters = [item(0, robot), replace(item(1, robot), sender="a@b.example")]
    letters.append(replace(item(2, robot), source=Source.API))
    kinds = [reading.events[0].kind for reading in await reader.read(letters)]
    assert kinds == [Kind.BOUNCE, Kind.UNRECOGNISED, Kind.UNRECOGNISED]
    assert (await reader.explain(letters[0])).readers[-1] == "freetext.guess"


async def test_half_a_character_is_replaced_and_costs_no_process(reader: Reader) -> None:
    odd = EXAMPLE.replace(b"rfc822; gone@", rb"utf-8; \x{D800}gone@")
    await reader.start()
    process = reader._process
    readings = await reader.read([item(0, odd), item(1)])
    assert readings[0].events[0].recipient == "\N{REPLACEMENT CHARACTER}gone@receiver.example"
    explanation = await reader.explain(item(0, odd))
    assert explanation.events[0].event.recipient == readings[0].events[0].recipient
    assert reader._process is process


async def test_more_than_its_memory_kills_the_process_and_not_us() -> None:
    reader = Reader({}, ReaderLimits(memory_bytes=400 * 2**20, timeout=timedelta(seconds=30)))
    with pytest.raises(ReaderDied):
        await reader.read([item(0, b"x" * (400 * 2**20))])
    (reading,) = await reader.read([item(1)])
    assert reading.events[0].kind is Kind.BOUNCE
    await reader.kill()


async def test_what_a_reader_stumbles_over_is_told_in_a_line_and_not_written_to_our_log(
    capfd: pytest.CaptureFixture[str],
) -> None:
    reader = Reader({}, ReaderLimits(memory_bytes=400 * 2**20, timeout=timedelta(seconds=30)))
    with pytest.raises(ReaderDied, match=r"\(exit 1: MemoryError in \w+\.py:\d+\)"):
        await reader.read([item(0, b"x" * (400 * 2**20))])
    assert capfd.readouterr().err == ""
    await reader.kill()


async def test_who_dies_over_a_message_has_answered_for_those_before_it() -> None:
    reader = Reader({}, ReaderLimits(memory_bytes=400 * 2**20, timeout=timedelta(seconds=30)))
    with pytest.raises(BatchDied) as death:
        await reader.read([item(0), item(1), item(2, b"x" * (400 * 2**20)), item(3)])
    assert [r.events[0].id for r in death.value.readings] == [f"{n:032x}-0" for n in range(2)]
    await reader.kill()


async def test_a_process_that_hangs_is_killed_and_replaced(reader: Reader) -> None:
    await reader.start()
    assert reader._process is not None
    stopped = reader._process.pid
    reader._timeout = 0.2
    os.kill(stopped, signal.SIGSTOP)
    with pytest.raises(ReaderDied, match="longer than"):
        await reader.read([item(0)])
    reader._timeout = 30
    assert (await reader.read([item(1)]))[0].format is Format.DSN
    assert reader._process.pid != stopped


_SPINNING = """
import bouncer.reading as reading

def spinning(octets, *rest):
    while octets.startswith(b"spin"):
        pass
    return read_arrival(octets, *rest)

read_arrival, reading.read_arrival = reading.read_arrival, spinning
"""


async def test_a_process_that_spins_is_ended_by_its_limit_of_cpu_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(_SPINNING)
    paths = [str(tmp_path), str(Path(__file__).parents[1])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    limits = ReaderLimits(timeout=timedelta(minutes=1), cpu_time=timedelta(seconds=1))
    reader = Reader({}, limits)
    for number in range(2):
        assert len(await reader.read([item(number)])) == 1
        with pytest.raises(BatchDied, match=f"signal {signal.SIGXCPU.value}") as death:
            await reader.read([item(number), item(9, b"spin"), item(number)])
        assert len(death.value.readings) == 1
    await reader.kill()


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs prlimit(2), which Linux has")
async def test_the_limit_of_cpu_time_is_for_one_batch_and_not_for_a_life() -> None:
    reader = Reader({}, ReaderLimits(cpu_time=timedelta(seconds=1)))
    await reader.start()
    process = reader._process
    assert process is not None
    limits: list[int] = []
    batch = [item(number) for number in range(100)]
    while len(set(limits)) < 3:
        await reader.read(batch)
        limits.append(resource.prlimit(process.pid, resource.RLIMIT_CPU)[0])
    assert limits == sorted(limits)
    assert reader._process is process
    await reader.kill()


async def test_a_process_that_was_killed_is_replaced(reader: Reader) -> None:
    await reader.start()
    assert reader._process is not None
    reader._process.kill()
    await reader._process.wait()
    with pytest.raises(ReaderDied):
        await reader.read([item(0)])
    assert (await reader.read([item(0)]))[0].format is Format.DSN


async def test_unicode_addresses_cross_the_pipe(reader: Reader) -> None:
    octets = EXAMPLE.replace(b"gone@", "späti@".encode()).replace(b"rfc822;", b"utf-8;")
    (reading,) = await reader.read([item(0, octets)])
    assert reading.events[0].recipient == "späti@receiver.example"


async def test_readers_that_start_later_have_the_rules_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "own.rules"  # named itself, so its name may be any
    path.write_text(OWN_RULE)
    pool = ReaderPool(2, {}, LIMITS, [path])
    path.unlink()
    try:
        async with pool.reader() as first, pool.reader() as second:
            assert await first.start() == await second.start()
            (reading,) = await second.read([item(0)])
        assert reading.events[0].rule == "own.gone"
    finally:
        await pool.close()


def test_rules_that_cannot_be_read_are_a_fault_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "own.toml").symlink_to("nowhere")
    with pytest.raises(ConfigurationError, match=r"own\.toml: cannot be read"):
        ReaderPool(1, {}, LIMITS, [tmp_path])
