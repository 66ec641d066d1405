"""Each 250 comes after an fsync of the store: seen in the system calls, with a control that fails.

Between the last octet of a message read from its socket and the 250 written to it, the store's log
is written, and an fdatasync of it begins and succeeds. Several messages may share one.
"""

from pathlib import Path

import pytest

from tests.faults.clients import Load
from tests.faults.conftest import Service
from tests.faults.scale import Run
from tests.faults.tracing import Moment, attached, moments

_TRACE = "trace=read,recvfrom,recvmsg,write,writev,sendto,sendmsg,pwrite64,fdatasync,fsync"
_READS = ("read", "recvfrom", "recvmsg")
_WRITES = ("write", "writev", "sendto", "sendmsg")
_SYNCS = ("fdatasync", "fsync")
_IN_ONE_TRACE = 250


def test_every_acknowledgement_comes_after_an_fsync(
    service: Service, strace: str, tmp_path: Path
) -> None:
    run = Run("fsync-before-250", ci=100, full=1000)
    while run.left:
        count = min(run.left, _IN_ONE_TRACE)
        with run.counting(count):
            acknowledged, unsynced = _trace(service, tmp_path, count)
            assert acknowledged == count
            assert not unsynced


def test_the_check_fails_without_fsync(service: Service, strace: str, tmp_path: Path) -> None:
    unsynced_service = str(Path(__file__).with_name("unsynced.py"))
    acknowledged, unsynced = _trace(service, tmp_path, 20, program=(unsynced_service,))
    assert acknowledged == 20
    assert len(unsynced) > 15, "this is what the check above is there to find"


def _trace(
    service: Service, folder: Path, count: int, program: tuple[str, ...] = ("-m", "bouncer")
) -> tuple[int, list[str]]:
    """How many were acknowledged, and the acknowledgements that no fsync went before."""
    file = folder / "trace"
    with service() as bouncer:
        bouncer.program = program
        bouncer.start()
        with (
            attached(bouncer.pid, file, "-yy", "-s", "40", "-e", _TRACE),
            Load(bouncer.smtp_port, 4, count=count) as load,
        ):
            load.join()
        assert len(load.acknowledged) == count
    return _read(file)


def _read(file: Path) -> tuple[int, list[str]]:
    acknowledged, unsynced = 0, []
    since: dict[str, list[str]] = {}  # what was done for the store since each socket was read
    for moment in moments(file):
        if moment.on.endswith("bouncer.db-wal>"):
            step = _step(moment)
            for steps in since.values():
                if step in ("written", "begun") or (step == "synced" and "begun" in steps):
                    steps.append(step)
        elif moment.call in _READS and (moment.result or 0) > 0:
            since[moment.on] = []
        elif moment.call in _WRITES and moment.result is None and "250 2.0.0 Kept" in moment.text:
            acknowledged += 1
            if not _is_safe(since.get(moment.on, [])):
                unsynced.append(moment.text)
    return acknowledged, unsynced


def _step(moment: Moment) -> str:
    if moment.call == "pwrite64":
        return "" if moment.result is None else "written"
    if moment.call in _SYNCS:
        return "begun" if moment.result is None else "synced" if moment.result == 0 else ""
    return ""


def _is_safe(steps: list[str]) -> bool:
    """Whether the log was written, and after that an fsync began and ended well."""
    try:
        written = steps.index("written")
        begun = steps.index("begun", written)
        steps.index("synced", begun)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("lines", "unsynced"),
    [
        (["read", "pwrite64", "fdatasync", "write"], 0),
        (["pwrite64", "read", "fdatasync", "write"], 1),
        (["fdatasync", "read", "pwrite64", "write"], 1),
        (["read", "pwrite64", "write", "fdatasync"], 1),
        (["read", "pwrite64", "failed", "write"], 1),
    ],
)
def test_the_order_of_the_calls_is_what_is_checked(
    lines: list[str], unsynced: int, tmp_path: Path
) -> None:
    calls = {
        "read": '11 read(9<TCP:[a->b]>, "."..., 99) = 3',
        "pwrite64": '12 pwrite64(7</x/bouncer.db-wal>, ""..., 24, 0) = 24',
        "fdatasync": "12 fdatasync(7</x/bouncer.db-wal>) = 0",
        "failed": "12 fdatasync(7</x/bouncer.db-wal>) = -1 EIO (Input/output error)",
        "write": '11 write(9<TCP:[a->b]>, "250 2.0.0 Kept as"..., 60) = 60',
    }
    file = tmp_path / "trace"
    file.write_text("\n".join(calls[line] for line in lines))
    acknowledged, found = _read(file)
    assert (acknowledged, len(found)) == (1, unsynced)
