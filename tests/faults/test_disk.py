"""A full disk: 452 and not ready before it hurts, deletion goes on, and room is all it needs."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bouncer.clock import now
from bouncer.store.store import Expired, Store
from tests.faults.clients import KEPT, Client, address, bounce
from tests.faults.conftest import Service
from tests.faults.state import assert_each_once, stored_ids, wait_until_read
from tests.servers.bouncer import Bouncer, wait_until

SIZE = 64 * 2**20
RESERVE = 8 * 2**20
FULL = "452 4.3.1"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MiB of our own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "bouncer-test", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("nothing can be mounted here: run the tests as root for a small disk")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def leave_free(disk: Path, octets: int) -> Path:
    """Takes all room but so much; remove the file to give it back."""
    ballast = disk / "ballast"
    found = os.statvfs(disk)
    taken = found.f_bavail * found.f_frsize - octets
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, taken)
    return ballast


def test_below_its_reserve_the_service_takes_nothing_more_and_forgets_on_demand(
    service: Service, small_disk: Path
) -> None:
    config = {"store": {"url": f"sqlite:///{small_disk}/bouncer.db", "reserve_bytes": RESERVE}}
    with service(**config) as bouncer:
        bouncer.start()
        kept = _send(bouncer, range(20), KEPT)
        wait_until_read(bouncer)
        ballast = leave_free(small_disk, RESERVE // 2)
        wait_until(lambda: not bouncer.ready())  # it looks four times a second
        _send(bouncer, range(20, 40), FULL)
        _assert_not_ready_but_alive(bouncer)
        gone = bouncer.http.delete(f"/v1/suppressions/{address(0)}")
        assert gone.status_code < 300, gone.text
        assert bouncer.http.get(f"/v1/suppressions/{address(0)}").status_code == 404
        assert _forget(small_disk / "bouncer.db").octets == 20
        assert "full" in _refusals(bouncer)
        ballast.unlink()
        wait_until(bouncer.ready, seconds=10)
        kept += _send(bouncer, range(20, 40), KEPT)
        wait_until_read(bouncer)
        assert_each_once(bouncer, range(40), 40)
        bouncer.kill()
        assert stored_ids(small_disk / "bouncer.db") == set(kept)


def test_a_disk_without_any_room_costs_nothing_that_was_acknowledged(
    service: Service, small_disk: Path
) -> None:
    """The reserve is too small to help: SQLite itself finds the disk full."""
    config = {"store": {"url": f"sqlite:///{small_disk}/bouncer.db", "reserve_bytes": 1}}
    with service(**config) as bouncer:
        bouncer.start()
        kept = _send(bouncer, range(20), KEPT)
        ballast = leave_free(small_disk, 64 * 2**10)
        kept += _fill(bouncer, range(20, 120))
        assert bouncer.http.get("/healthz").status_code == 200
        assert bouncer.http.get("/readyz").status_code == 503
        ballast.unlink()
        wait_until(bouncer.ready, seconds=10)
        assert len(set(kept) | set(_send(bouncer, range(120), KEPT))) == 120
        wait_until_read(bouncer)
        assert_each_once(bouncer, range(120), 120)
        bouncer.kill()
        assert stored_ids(small_disk / "bouncer.db") >= set(kept)


def _send(bouncer: Bouncer, numbers: range, answer: str) -> list[str]:
    """Sends bounces that must all be answered so; the ids of what was kept."""
    replies = []
    for number in numbers:
        with Client(bouncer.smtp_port) as client:
            replies.append(client.send(bounce(number)))
    assert not [reply for reply in replies if not reply.startswith(answer)], replies
    return [reply.rpartition(" ")[2] for reply in replies if reply.startswith(KEPT)]


def _fill(bouncer: Bouncer, numbers: range) -> list[str]:
    """Sends until the disk is full, and on; the ids of what was kept."""
    kept, replies = [], []
    for number in numbers:
        with Client(bouncer.smtp_port) as client:
            replies.append(client.send(bounce(number)))
        if replies[-1].startswith(KEPT):
            kept.append(replies[-1].rpartition(" ")[2])
    assert not [reply for reply in replies if not reply.startswith((KEPT, FULL))], replies
    assert replies[-1].startswith(FULL)
    return kept


def _assert_not_ready_but_alive(bouncer: Bouncer) -> None:
    readiness = bouncer.http.get("/readyz")
    assert (readiness.status_code, list(readiness.json()["problems"])) == (503, ["disk"])
    assert bouncer.http.get("/healthz").status_code == 200


def _refusals(bouncer: Bouncer) -> str:
    counted = bouncer.metrics("bouncer_messages_refused_total")
    return " ".join(labels for labels, count in counted.items() if count)


def _forget(database: Path) -> Expired:
    """Retention, as the service does it once an hour, over all that is there."""

    async def run() -> Expired:
        store = await Store.open(f"sqlite:///{database}", migrate=False)
        try:
            return await store.expire(now() + timedelta(hours=1), now() - timedelta(days=1))
        finally:
            await store.close()

    return asyncio.run(run())
