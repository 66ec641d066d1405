"""System calls of a service as strace writes them down, and the faults it puts into them.

123 10:00:00 read(9<TCP:[...]>, "DATA"..., 4096) = 6
124 fdatasync(7</x/bouncer.db-wal> <unfinished ...>
124 <... fdatasync resumed>) = 0
"""

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.faults import proc
from tests.servers.bouncer import wait_until

_LINE = re.compile(r"(?P<thread>\d+) +(?P<text>.*)")
_RESUMED = re.compile(r"<\.\.\. (?P<call>\w+) resumed>(?P<rest>.*)")
_CALL = re.compile(r"(?P<call>\w+)\((?P<rest>.*)")
_RESULT = re.compile(r"\) += (?P<result>-?\d+)")
_DESCRIPTOR = re.compile(r"(\d+<[^>]*(?:->[^>]*)?>)")
_UNFINISHED = "<unfinished ...>"


@dataclass(frozen=True, slots=True)
class Moment:
    """A call begins (`result` None) or ends. `on` is its descriptor, with what that stands for."""

    call: str
    on: str
    text: str
    result: int | None


def moments(file: Path) -> Iterator[Moment]:
    """What happened, in its order: a call that is not interrupted begins and ends at once."""
    begun: dict[str, Moment] = {}
    for line in file.read_text("latin-1").splitlines():
        split = _LINE.match(line)
        if split is None:
            continue
        thread, text = split["thread"], split["text"]
        if (resumed := _RESUMED.match(text)) and thread in begun:
            beginning = begun.pop(thread)
            whole = beginning.text + resumed["rest"]
            yield Moment(beginning.call, beginning.on, whole, _result(whole))
        elif call := _CALL.match(text):
            on = _DESCRIPTOR.match(call["rest"])
            beginning = Moment(call["call"], on[1] if on else "", text, None)
            yield beginning
            if text.endswith(_UNFINISHED):
                begun[thread] = beginning
            else:
                yield Moment(beginning.call, beginning.on, text, _result(text))


def _result(text: str) -> int:
    found = _RESULT.search(text)
    return int(found["result"]) if found else -1


@contextlib.contextmanager
def attached(pid: int, file: Path, *options: str) -> Iterator[None]:
    """strace on a running service and all its threads, meanwhile."""
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", str(file), *options, "-p", str(pid)],
        stderr=subprocess.PIPE,
    )
    try:
        wait_until(lambda: proc.tracer(pid) or not proc.lives(pid) or tracer.poll() is not None)
        assert proc.tracer(pid) or not proc.lives(pid), tracer.stderr and tracer.stderr.read()
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(tracer.pid, signal.SIGINT)
        tracer.communicate(timeout=30)
