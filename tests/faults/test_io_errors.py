"""A disk that fails at times: each message it hits is put off, none is acknowledged for nothing."""

import os
import signal
from pathlib import Path

import pytest

from tests.faults import proc
from tests.faults.clients import KEPT, Client, address, bounce
from tests.faults.conftest import Service
from tests.faults.scale import Run
from tests.faults.state import assert_each_once, stored_ids, wait_until_read
from tests.faults.tracing import attached
from tests.servers.bouncer import Bouncer, wait_until

IN_ONE_STORE = 50
MEMORY = 500 * 2**20  # of a reader
FAULTS = [
    ("fdatasync", "EIO", "3+4", "451 4.3.0"),
    ("pwrite64", "EIO", "8+61", "451 4.3.0"),
    ("pwrite64", "ENOSPC", "8+61", "452 4.3.1"),
]


@pytest.mark.parametrize(("call", "error", "when", "answer"), FAULTS)
def test_what_an_error_hits_is_put_off_and_the_service_goes_on(
    call: str, error: str, when: str, answer: str, service: Service, strace: str, tmp_path: Path
) -> None:
    run = Run(f"{error}-of-{call}", ci=IN_ONE_STORE, full=1000)
    while run.left:
        count = min(run.left, IN_ONE_STORE)
        with run.counting(count), service() as bouncer:
            bouncer.start()
            options = ("-f", "-e", f"trace={call}")
            fault = ("-e", f"inject={call}:error={error}:when={when}")
            with attached(bouncer.pid, tmp_path / "trace", *options, *fault):
                kept, put_off = _send(bouncer, range(count), answer)
            assert put_off, "no message was hit"
            recipients = {event["recipient"] for event in bouncer.events()}
            assert not recipients & {address(n) for n in put_off}, "put off, and stored"
            run.worst(put_off=len(put_off))
            again, refused = _send(bouncer, put_off, answer)
            assert not refused, "the service did not go on"
            wait_until_read(bouncer)
            assert_each_once(bouncer, range(count), count)
            bouncer.kill()
            assert stored_ids(bouncer.folder / "bouncer.db") == {*kept, *again}


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_what_is_read_waits_for_the_disk_and_is_not_read_again(
    error: str, service: Service, strace: str, tmp_path: Path
) -> None:
    options = ("-f", "-e", "trace=pwrite64", "-e", f"inject=pwrite64:error={error}")
    with service(pipeline={"reader_memory_bytes": MEMORY}) as bouncer:
        bouncer.start()
        wait_until(lambda: _reader(bouncer))
        os.kill(_reader(bouncer), signal.SIGSTOP)
        _send(bouncer, range(1), "none")
        wait_until(lambda: bouncer.metric('bouncer_inbox_messages{state="reading"}') == 1)
        with attached(bouncer.pid, tmp_path / "trace", *options):
            os.kill(_reader(bouncer), signal.SIGCONT)
            wait_until(lambda: "messages wait for it" in bouncer.log_file.read_text())
        wait_until_read(bouncer, seconds=30)  # its lease is longer
        assert_each_once(bouncer, [0], 1)
        assert bouncer.stop() == 0


def _reader(bouncer: Bouncer) -> int:
    """The reader, once it waits for work; 0 before."""
    working = [r for r in proc.readers(bouncer.pid) if proc.is_limited(r, MEMORY)]
    return working[0] if working else 0


def _send(bouncer: Bouncer, numbers: range | list[int], answer: str) -> tuple[list[str], list[int]]:
    """The ids of those that are kept, and those that are not; no other reply is right."""
    kept, put_off = [], []
    with Client(bouncer.smtp_port) as client:
        for number in numbers:
            reply = client.send(bounce(number))
            if reply.startswith(KEPT):
                kept.append(reply.rpartition(" ")[2])
            else:
                assert reply.startswith(answer), reply
                put_off.append(number)
    return kept, put_off
