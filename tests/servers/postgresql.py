"""A PostgreSQL of our own, from the binaries that the Debian package brings."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from bouncer.store.store import Store

_PLACES = "/usr/lib/postgresql"


class Postgresql:
    """A cluster in a temporary directory, on a free port. A stopped one can be started again."""

    def __init__(self, programs: Path, directory: Path) -> None:
        self._programs = programs
        self._data = directory / "data"
        self._log = directory / "log"
        self._user = _other_user()
        if self._user is not None:
            directory.chmod(0o755)
            shutil.chown(directory, self._user)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._run("initdb", "-U", "bouncer", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")

    def start(self) -> None:
        options = (
            f"-h 127.0.0.1 -p {self.port} -c unix_socket_directories={self._data.parent} "
            "-c shared_buffers=32MB -c max_connections=60 -c timezone=Asia/Tokyo"
        )
        self._run("pg_ctl", "-w", "-l", str(self._log), "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stops it; `immediate` as a crash would."""
        self._run("pg_ctl", "-w", "-m", mode, "stop", check=False)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """None of its processes runs meanwhile: connections stay open and nobody answers."""
        postmaster = int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        processes = [postmaster, *map(int, children)]
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://bouncer@127.0.0.1:{self.port}/{database}"

    async def execute(self, sql: str, database: str = "postgres") -> None:
        connection = await asyncpg.connect(self.url(database))
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    async def fresh(self) -> str:
        """The URL of a new, empty database."""
        name = f"test_{uuid.uuid4().hex}"
        await self.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return self.url(name)

    def _run(self, program: str, *arguments: str, check: bool = True) -> None:
        subprocess.run(
            [str(self._programs / program), "-D", str(self._data), *arguments],
            check=check,
            user=self._user,
            cwd=self._data.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            timeout=60,
        )


def _other_user() -> str | None:
    """PostgreSQL does not run as root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def programs() -> Path | None:
    """Where initdb and pg_ctl are: the newest of Debian's versions, else what is on the PATH."""
    versions = [path for path in Path(_PLACES).glob("*/bin") if (path / "initdb").exists()]
    if versions:
        return max(versions, key=lambda path: float(path.parent.name))
    found = shutil.which("initdb")
    if found is None and shutil.which("pg_config"):
        asked = subprocess.run(
            ["pg_config", "--bindir"], capture_output=True, text=True, check=True
        )
        found = shutil.which("initdb", path=asked.stdout.strip())
    return Path(found).resolve().parent if found else None


@contextlib.contextmanager
def running() -> Iterator[Postgresql]:
    """A PostgreSQL that runs meanwhile; the test is skipped where there is none."""
    place = programs()
    if place is None:
        pytest.skip("PostgreSQL is missing: install the Debian package postgresql")
    directory = Path(tempfile.mkdtemp(prefix="bouncer-postgresql-"))
    try:
        server = Postgresql(place, directory)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """One PostgreSQL for all tests; take a `fresh` database of it, and leave it running."""
    with running() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
async def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'bouncer.db'}"
    server: Postgresql = request.getfixturevalue("postgresql")
    return await server.fresh()


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """An empty store, of each kind in turn."""
    opened = await Store.open(store_url)
    yield opened
    await opened.close()
