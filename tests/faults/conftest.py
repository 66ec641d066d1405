"""What the fault runs share: a service to hurt, and what must hold for it afterwards."""

import contextlib
import itertools
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.clients import DOMAINS
from tests.faults.scale import FULL
from tests.servers.bouncer import Bouncer

Service = Callable[..., contextlib.AbstractContextManager[Bouncer]]

_CI_SECONDS = 300
_FULL_SECONDS = 6 * 3600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    seconds = _FULL_SECONDS if FULL else _CI_SECONDS
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(seconds))


@pytest.fixture(autouse=True)
def linux() -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("faults are injected and seen by means that only Linux has (/proc, strace)")


@pytest.fixture
def service(tmp_path: Path, free_port: Callable[[], int]) -> Service:
    """Makes services, each with a folder and a store of its own, and ends them."""
    numbers = itertools.count()

    @contextlib.contextmanager
    def make(folder: Path | None = None, **config: Any) -> Iterator[Bouncer]:
        if folder is None:
            folder = tmp_path / f"service-{next(numbers)}"
            folder.mkdir()
        made = Bouncer(folder, free_port(), free_port(), {"domains": DOMAINS, **config})
        try:
            yield made
        except AssertionError as error:
            log = made.log_file.read_text() if made.log_file.exists() else ""
            error.add_note(f"the service's last words:\n{log[-3000:]}")
            raise
        finally:
            made.close()

    return make


@pytest.fixture
def strace(tmp_path: Path) -> str:
    """The tracer that injects faults into system calls; skips where it may not trace."""
    if shutil.which("strace") is None:
        pytest.skip("strace is missing: install the Debian package strace")
    probe = ["strace", "-D", "-qq", "-o", str(tmp_path / "probe"), "true"]
    if subprocess.run(probe, capture_output=True).returncode != 0:
        pytest.skip("this machine lets nobody trace a process: run the tests where ptrace may be")
    return "strace"
