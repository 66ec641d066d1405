"""A kill at each system call that writes, syncs or sends: no order of them loses or doubles."""

from collections import Counter
from pathlib import Path

import pytest

from tests.faults.clients import KEPT, Client, Load, bounce
from tests.faults.conftest import Service
from tests.faults.scale import FULL, Run
from tests.faults.state import assert_each_once, stored_ids, wait_until_read
from tests.faults.tracing import attached
from tests.servers.bouncer import Bouncer

KILLS_OF_A_STORE = 10
SPREAD = (1, 2, 3, 5, 8, 13, 21, 40, 80, 150)  # the positions of the short form
# Each thread counts for itself. Writes and syncs are those of the store, in its own thread; of all
# that call write(2), the main thread, which sends the replies, is the first to come to a position.
CALLS = ("pwrite64", "fdatasync", "write")


@pytest.mark.parametrize("call", CALLS)
def test_a_kill_at_any_call_loses_nothing(
    call: str, service: Service, strace: str, tmp_path: Path
) -> None:
    run = Run(f"kill-at-{call}", ci=len(SPREAD), full=150)
    while run.left:
        kills = min(run.left, KILLS_OF_A_STORE)
        positions = [run.done + n + 1 for n in range(kills)] if FULL else SPREAD
        with run.counting(kills), service() as bouncer:
            bouncer.start()
            with Load(bouncer.smtp_port, 4, pause=0.002) as load:
                for position in positions:
                    fault = f"inject={call}:signal=SIGKILL:when={position}"
                    options = ("-e", f"trace={call}", "-e", fault)
                    with attached(bouncer.pid, tmp_path / "trace", *options):
                        assert bouncer.wait(60) == -9
                    _assert_all_stored(bouncer, load)
                    bouncer.start()
                load.finish()
            wait_until_read(bouncer)
            assert_each_once(bouncer, load.acknowledged, load.begun)


def _assert_all_stored(bouncer: Bouncer, load: Load) -> None:
    known = set(load.acknowledged.values())
    lost = known - stored_ids(bouncer.folder / "bouncer.db")
    assert not lost, f"{len(lost)} acknowledged, not stored"


def test_a_kill_while_the_store_is_made_leaves_one_that_can_be_made(
    service: Service, strace: str, tmp_path: Path
) -> None:
    writes = _writes_of_a_new_store(service, tmp_path / "trace")
    run = Run("kill-at-creation", ci=3, full=writes)
    while run.left:
        position = run.done + 1 if FULL else (3, writes // 2, writes)[run.done]
        with run.counting(1), service() as bouncer:
            fault = f"inject=pwrite64:signal=SIGKILL:when={position}"
            # Without --seccomp-bpf: with it nothing is injected into any thread but the first.
            bouncer.launch(under=[*_traced(tmp_path / "trace"), "-e", fault])
            assert bouncer.wait(60) == -9
            bouncer.start()
            with Client(bouncer.smtp_port) as client:
                assert client.send(bounce(0)).startswith(KEPT)
            wait_until_read(bouncer)
            assert_each_once(bouncer, [0], 1)


def _writes_of_a_new_store(service: Service, trace: Path) -> int:
    """How often the thread of the store writes until the service is ready."""
    with service() as bouncer:
        bouncer.start(under=[*_traced(trace), "--seccomp-bpf"])
        bouncer.kill()
    lines = [line.split() for line in trace.read_text().splitlines()]
    threads = Counter(thread for thread, call, *_ in lines if call.startswith("pwrite64("))
    return max(threads.values())


def _traced(trace: Path) -> list[str]:
    return ["strace", "-D", "-f", "-qq", "-o", str(trace), "-e", "trace=pwrite64"]
