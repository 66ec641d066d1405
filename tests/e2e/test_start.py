"""Starting and stopping: what is waited for, and what is said."""

import asyncio
import contextlib
import signal
import smtplib
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.servers import postgresql
from tests.servers.bouncer import Bouncer, running, wait_until


def test_a_store_that_is_away_is_waited_for(tmp_path: Path, free_port: Callable[[], int]) -> None:
    with postgresql.running() as server:
        url = asyncio.run(server.fresh())
        server.stop()
        config = {"store": {"url": url}}
        bouncer = Bouncer(tmp_path, free_port(), free_port(), config)
        with bouncer.log_file.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "bouncer", "serve", "-c", str(bouncer.config_file)],
                stderr=log,
            )
        try:
            wait_until(lambda: "waiting for the store" in bouncer.log_file.read_text(), seconds=30)
            server.start()
            wait_until(lambda: "ready: " in bouncer.log_file.read_text(), seconds=60)
            assert bouncer.http.get("/readyz").status_code == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()
            bouncer.close()


def test_a_process_without_smtp_is_not_ready_before_it_leaves(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    config = {"smtp": {"drain_accept": "20s"}}
    with running(Bouncer(tmp_path, free_port(), free_port(), config), "--only", "api") as bouncer:
        assert bouncer._process is not None
        bouncer._process.send_signal(signal.SIGTERM)
        wait_until(lambda: bouncer.http.get("/readyz").status_code == 503, seconds=10)
        assert bouncer.http.get("/v1/events").status_code == 200
        bouncer._process.send_signal(signal.SIGTERM)  # again: at once
        assert bouncer._process.wait(15) == 0


def test_http_ends_within_the_drain_and_not_after_it(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    config = {"smtp": {"drain_finish": "10s"}}
    with running(Bouncer(tmp_path, free_port(), free_port(), config)) as bouncer:
        http = ("127.0.0.1", int(bouncer.url.rpartition(":")[2]))
        client = smtplib.SMTP("127.0.0.1", bouncer.smtp_port)
        with contextlib.closing(client), socket.socket() as half:
            client.helo()
            client.mail("")
            client.rcpt("b@bounces.test")
            assert client.docmd("DATA")[0] == 354
            half.connect(http)
            half.sendall(b"POST /v1/reports HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx")
            bouncer.terminate()
            wait_until(lambda: not _is_listening(http))
            client.send(b"Subject: still here\r\n\r\n.\r\n")
            assert client.getreply()[0] == 250
            assert bouncer.wait(60) == 0


def _is_listening(address: tuple[str, int]) -> bool:
    with socket.socket() as client:
        return client.connect_ex(address) == 0
