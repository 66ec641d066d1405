"""A real rbldnsd (Debian package rbldnsd) on a free loopback port, with the zones a test writes."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode
import pytest

PATIENCE_SECONDS = 10


class Rbldnsd:
    """The running server. `zones` names the type of each zone: ip4set, ip4trie, ip6trie, dnset."""

    def __init__(self, zones: Mapping[str, str], directory: Path) -> None:
        self._zones = dict(zones)
        self._directory = directory
        self._stamp = int(time.time()) - 100_000
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_udp_port()
        for zone in self._zones:
            self._write(zone)

    @property
    def resolver(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        served = [f"{zone}:{kind}:{zone}" for zone, kind in self._zones.items()]
        where = ["-b", f"127.0.0.1/{self.port}", "-w", str(self._directory)]
        self._process = subprocess.Popen(
            ["rbldnsd", "-n", "-4", *user, *where, "-t", "1s", "-c", "1s", *served],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for zone in self._zones:
            self._wait_for(zone)

    def serve(self, zone: str, *lines: str) -> None:
        """Replaces what the zone has, and returns when it is answered.

        A $TIMESTAMP in the past makes the server answer SERVFAIL.
        """
        self._write(zone, *lines)
        self._signal(signal.SIGHUP)
        self._wait_for(zone, expired=any(line.startswith("$TIMESTAMP") for line in lines))

    def stop(self) -> None:
        """No answer any more, as if the machine were gone."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _write(self, zone: str, *lines: str) -> None:
        head = f"$SOA 60 ns.{zone} hostmaster.{zone} 0 3600 600 86400 1\n"
        new = self._directory / f"{zone}.new"
        new.write_text(head + "".join(f"{line}\n" for line in lines))
        # rbldnsd sees a change by its time, in seconds, which is the serial number too.
        self._stamp += 1
        os.utime(new, (self._stamp, self._stamp))
        new.replace(self._directory / zone)

    def _wait_for(self, zone: str, *, expired: bool = False) -> None:
        stamp = int((self._directory / zone).stat().st_mtime)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(dns.exception.DNSException, OSError):
                query = dns.message.make_query(zone, "SOA")
                reply = dns.query.udp(query, "127.0.0.1", port=self.port, timeout=0.1)
                if reply.answer and f" {stamp} " in reply.answer[0].to_text():
                    return
                if expired and reply.rcode() == dns.rcode.SERVFAIL:
                    return
            time.sleep(0.01)
        raise TimeoutError(f"rbldnsd does not serve the new {zone}")


@contextlib.contextmanager
def rbldnsd(zones: Mapping[str, str]) -> Iterator[Rbldnsd]:
    """Serves these zones, empty at first."""
    if shutil.which("rbldnsd") is None:
        pytest.skip("rbldnsd is not installed (Debian package rbldnsd)")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)  # the server reads it as nobody
        server = Rbldnsd(zones, directory)
        try:
            server.start()
            yield server
        finally:
            server.end()


def _free_udp_port() -> int:
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
