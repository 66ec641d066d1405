"""A reader process, both ends of its pipe: what the pipeline calls, and what runs in the process.

Foreign mail is read in a process of its own, with limits on memory, CPU and time, so that the worst
message costs one process and never the service. Requests and answers are JSON with a length before
them (never pickle: what comes back may have been written by the message). The messages of a batch
are answered one by one: the first that has no answer is the one that a process died over.
"""

import asyncio
import contextlib
import json
import math
import resource
import signal
import struct
import sys
import time
import traceback
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self, TypeVar

from pydantic import TypeAdapter

from bouncer.classify import rules
from bouncer.classify.rulefile import Written, parse
from bouncer.errors import ConfigurationError, ReaderDied
from bouncer.events import Source
from bouncer.explaining import Explanation, explain_arrival
from bouncer.memory import return_large_blocks
from bouncer.reading import Arrival, Domains, Reading, read_arrival
from bouncer.records import InboxItem, MediaType

if TYPE_CHECKING:  # the processes start without it
    from bouncer.config import Config

T = TypeVar("T")

_LENGTH = struct.Struct("!I")
_READING: TypeAdapter[Reading] = TypeAdapter(Reading)
_EXPLANATION: TypeAdapter[Explanation] = TypeAdapter(Explanation)
_MAX_ANSWER_BYTES = 64 * 2**20  # about one batch
_START_SECONDS = 30
_ENDING_SECONDS = 1.0
_LONGEST_WORDS = 200


@dataclass(frozen=True, slots=True)
class ReaderLimits:
    """What one reader process may use: address space, and time for one batch."""

    memory_bytes: int = 512 * 2**20
    timeout: timedelta = timedelta(seconds=10)
    cpu_time: timedelta = timedelta(seconds=8)


class BatchDied(ReaderDied):
    """`readings` are of the messages before the one that the process died over."""

    def __init__(self, message: str, readings: Sequence[Reading]) -> None:
        super().__init__(message)
        self.readings = readings


class Reader:
    """One reader process. Started when it is first needed, and again after it died."""

    def __init__(
        self, domains: Domains, limits: ReaderLimits, rule_files: Sequence[Written] = ()
    ) -> None:
        settings = {
            "domains": dict(domains),
            "rules": [(str(file.path), file.octets.decode()) for file in rule_files],
            "memory_bytes": limits.memory_bytes,
            "cpu_seconds": limits.cpu_time.total_seconds(),
        }
        self._settings = json.dumps(settings).encode()
        self._timeout = limits.timeout.total_seconds()
        self._process: asyncio.subprocess.Process | None = None
        self._starting = asyncio.Lock()
        self._version = ""

    async def start(self) -> str:
        """Starts the process unless it runs; the version of its ruleset."""
        async with self._starting:  # whoever asks for it meanwhile waits for the one start
            if self._process is None:
                self._process = await _process()
                async with self._talking(_START_SECONDS) as answers:
                    self._ask(self._settings)
                    self._version = (await _answer(answers)).decode()
            return self._version

    async def read(self, items: Sequence[InboxItem]) -> Sequence[Reading]:
        """What these messages are. Raises BatchDied when the process did not survive them."""
        await self.start()
        readings: list[Reading] = []
        room = _MAX_ANSWER_BYTES
        try:
            async with self._talking(self._timeout) as answers:
                self._ask_about("read", items)
                for item in items:
                    answer = await _answer(answers, room)
                    reading = _READING.validate_json(answer)
                    if _item_of(reading) != item.id:
                        raise ValueError("it is about another message")
                    room -= len(answer)
                    readings.append(reading)
        except ReaderDied as death:
            raise BatchDied(str(death), readings) from death
        return readings

    async def explain(self, item: InboxItem) -> Explanation:
        """How this message is judged, step by step. Raises ReaderDied."""
        await self.start()
        async with self._talking(self._timeout) as answers:
            self._ask_about("explain", [item])
            return _EXPLANATION.validate_json(await _answer(answers))

    async def kill(self) -> None:
        """Ends the process at once; the next call starts another."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _ask_about(self, verb: str, items: Sequence[InboxItem]) -> None:
        arrivals = [
            {
                "id": item.id,
                "recipient": item.recipient,
                "source": item.source,
                "received_at": item.received_at.isoformat(),
                "media_type": item.media_type,
                "sender": item.sender if item.source is Source.SMTP else None,
                "size": len(item.octets),
            }
            for item in items
        ]
        request = json.dumps({"verb": verb, "arrivals": arrivals}).encode()
        self._ask(request, *(item.octets for item in items))

    def _ask(self, request: bytes, *octets: bytes) -> None:
        # Nobody waits until all is written: the first answers are there before.
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.writelines([_LENGTH.pack(len(request)), request, *octets])

    @contextlib.asynccontextmanager
    async def _talking(self, seconds: float) -> AsyncIterator[asyncio.StreamReader]:
        """Where the answers come from. A process that fails in the block is killed."""
        process = self._process
        if process is None or process.stdout is None:
            raise ReaderDied("the reader process is not running")
        try:
            async with asyncio.timeout(seconds):
                yield process.stdout
        except TimeoutError as error:
            await self.kill()
            raise ReaderDied(f"a reader took longer than {seconds:g} s") from error
        except ValueError as error:
            await self.kill()
            raise ReaderDied(f"a reader answered nonsense: {type(error).__name__}") from error
        except (EOFError, OSError, RuntimeError) as error:  # uvloop: the pipe is closed already
            # It ends: a signal now would hide how (asyncio's own loop reaps it before it looks).
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _ENDING_SECONDS)
            await self.kill()
            raise ReaderDied(f"a reader died ({await _end_of(process)})") from error
        except BaseException:  # cancelled half-way: the pipe is out of step
            await self.kill()
            raise


async def _answer(answers: asyncio.StreamReader, longest: int = _MAX_ANSWER_BYTES) -> bytes:
    (length,) = _LENGTH.unpack(await answers.readexactly(_LENGTH.size))
    if length > longest:
        raise ReaderDied("a reader's answer is too long")
    return await answers.readexactly(length)


async def _process() -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bouncer.reader",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,  # the log is for the service to write
            limit=2**20,
            start_new_session=True,  # a Ctrl-C in the terminal is for the service to handle
        )
    except OSError as error:  # no memory, process or descriptor is left
        raise ReaderDied(f"a reader cannot be started: {error}") from error


class ReaderPool:
    """Readers to borrow, each by one worker at a time.

    The operator's rule files are read here, once: a reader that starts later has the same. Raises
    ConfigurationError for those that cannot be used.
    """

    def __init__(
        self, count: int, domains: Domains, limits: ReaderLimits, places: Sequence[Path] = ()
    ) -> None:
        rule_files = rules.read_usable(places)
        self._readers = [Reader(domains, limits, rule_files) for _ in range(count)]
        self._free: asyncio.Queue[Reader] = asyncio.Queue()
        for reader in self._readers:
            self._free.put_nowait(reader)

    @classmethod
    def of(cls, config: "Config") -> Self:
        """The readers of a configuration."""
        domains = {d.bounce_domain: d.sending_domains for d in config.domains}
        asked = config.pipeline
        limits = ReaderLimits(
            asked.reader_memory_bytes, asked.reader_timeout, asked.reader_cpu_time
        )
        return cls(asked.readers, domains, limits, config.rules.directories)

    async def start(self) -> str:
        """Starts all of them; the version of the ruleset they read by."""
        return (await asyncio.gather(*(reader.start() for reader in self._readers)))[0]

    @contextlib.asynccontextmanager
    async def reader(self) -> AsyncIterator[Reader]:
        """A reader that nobody else uses meanwhile."""
        reader = await self._free.get()
        try:
            yield reader
        finally:
            self._free.put_nowait(reader)

    async def explain(self, item: InboxItem) -> Explanation:
        """How this message is judged, step by step. Raises ReaderDied."""
        async with self.reader() as reader:
            return await reader.explain(item)

    async def close(self) -> None:
        """Ends all of them."""
        for reader in self._readers:
            await reader.kill()


def _item_of(reading: Reading) -> str | None:
    return reading.events[0].id.rpartition("-")[0] if reading.events else None


async def _end_of(process: asyncio.subprocess.Process) -> str:
    """How it ended, and the last thing that it said."""
    code = process.returncode
    if code is None:
        return "its pipe broke"
    end = f"signal {-code}" if code < 0 else f"exit {code}"
    said = await process.stderr.read() if process.stderr is not None else b""
    last = said.rstrip().rpartition(b"\n")[2][:_LONGEST_WORDS].decode("utf-8", "replace")
    return f"{end}: {last}" if last else end


def main() -> None:
    """The process itself. What it stumbles over it says in a line, without a word of the mail."""
    try:
        _serve()
    except BaseException as error:
        *_, (frame, line) = traceback.walk_tb(error.__traceback__)
        place = Path(frame.f_code.co_filename).name
        sys.exit(f"{type(error).__name__} in {place}:{line}")


def _serve() -> None:
    """Settings first, then batches until the pipe closes."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the pipe's end is what stops a reader
    return_large_blocks()
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    settings = json.loads(_receive(source))
    ruleset = rules.ruleset_of([_rule_file(name, text) for name, text in settings["rules"]])
    ruleset.prepare()
    limit = settings["memory_bytes"]
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    domains = {name: tuple(sending) for name, sending in settings["domains"].items()}
    _send(sink, ruleset.version.encode())
    with contextlib.suppress(EOFError, BrokenPipeError):  # the service is gone
        while True:
            request = json.loads(_receive(source))
            _limit_cpu(settings["cpu_seconds"])
            answer = _explained if request["verb"] == "explain" else _read
            for each in request["arrivals"]:
                octets = _exactly(source, int(each["size"]))
                _send(sink, answer(octets, _arrival(each), domains, ruleset))


def _rule_file(name: str, text: str) -> Written:
    file, faults = parse(Path(name), text.encode())
    if file is None:
        raise ConfigurationError(*map(str, faults))
    return file


def _limit_cpu(seconds: float) -> None:
    """Beyond what was used until now; the system counts whole seconds and sends SIGXCPU."""
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    limit = math.ceil(time.process_time() + seconds)
    if most != resource.RLIM_INFINITY:
        limit = min(limit, most)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, most))


def _arrival(each: dict[str, Any]) -> Arrival:
    return Arrival(
        id=each["id"],
        recipient=each["recipient"],
        source=Source(each["source"]),
        received_at=datetime.fromisoformat(each["received_at"]),
        media_type=MediaType(each["media_type"]),
        sender=each["sender"],
    )


def _explained(octets: bytes, arrival: Arrival, domains: Domains, ruleset: rules.Ruleset) -> bytes:
    return _written(_EXPLANATION, explain_arrival(octets, arrival, domains, ruleset))


def _read(octets: bytes, arrival: Arrival, domains: Domains, ruleset: rules.Ruleset) -> bytes:
    return _written(_READING, read_arrival(octets, arrival, domains, ruleset))


def _written(adapter: TypeAdapter[T], answer: T) -> bytes:
    try:
        return adapter.dump_json(answer, by_alias=True)
    except ValueError:  # half a character of some reader's: no JSON has it
        tree = adapter.dump_python(answer, mode="json", by_alias=True)
        halves = json.dumps(tree, ensure_ascii=False).encode("utf-16-le", "surrogatepass")
        return halves.decode("utf-16-le", "replace").encode()


def _receive(source: BinaryIO) -> bytes:
    (length,) = _LENGTH.unpack(_exactly(source, _LENGTH.size))
    return _exactly(source, length)


def _exactly(source: BinaryIO, count: int) -> bytes:
    octets = source.read(count)
    if len(octets) < count:
        raise EOFError
    return octets


def _send(sink: BinaryIO, answer: bytes) -> None:
    sink.write(_LENGTH.pack(len(answer)) + answer)
    sink.flush()


if __name__ == "__main__":
    main()
