"""A real bouncer to which everything has happened that the dashboard shows."""

import contextlib
import itertools
import os
import shutil
import signal
import smtplib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.grafana.dashboard import ROOT
from tests.ingest.conftest import make_certificate
from tests.servers.bouncer import Bouncer, running, wait_until
from tests.servers.rbldnsd import rbldnsd
from tests.servers.webhook_receiver import SECRET

ZONE = "good.test"
_numbers = itertools.count()
HARD = (ROOT / "docs/examples/first-bounce.eml").read_bytes()
SOFT = (
    HARD.replace(b"5.1.1", b"4.2.2")
    .replace(b"550 ", b"452 ")
    .replace(b"there is no such user here", b"mailbox is full")
)
COMPLAINT = b"""\
From: feedback@receiver.example
To: first@bounces.example.com
Subject: FW: What is new in March
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="frontier"

--frontier
Content-Type: text/plain

Somebody does not want this mail.

--frontier
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: Receiver/1.0
Version: 1
Original-Rcpt-To: cross@receiver.example

--frontier
Content-Type: text/rfc822-headers

From: News <news@example.com>
To: cross@receiver.example
Subject: What is new in March

--frontier--
"""


@contextlib.contextmanager
def seen_everything(folder: Path, free_port: Callable[[], int]) -> Iterator[Bouncer]:
    """It goes on watching a blocklist and failing to deliver a webhook while it is looked at."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is missing: install the Debian package openssl")
    certificate, key = folder / "tls.crt", folder / "tls.key"
    make_certificate(openssl, certificate, key)
    with rbldnsd({ZONE: "ip4trie"}) as server:
        server.serve(ZONE, ":127.0.0.2:Listed", "127.0.0.2", "192.0.2.10")
        config = {
            "smtp": {"tls": {"certificate": str(certificate), "key": str(key)}},
            "domains": [
                {"bounce_domain": "bounces.example.com", "sending_domains": ["example.com"]}
            ],
            "dnsbl": {
                "targets": ["192.0.2.10", "192.0.2.11"],
                "zones": [
                    {
                        "zone": ZONE,
                        "kind": ["ip4"],
                        "severity": "major",
                        "codes": {"127.0.0.2": "listed"},
                    }
                ],
                "interval": "1s",
                "resolvers": [server.resolver],
                "zone_queries_per_second": 1000,
            },
            "webhooks": [
                {
                    "name": "ops",
                    "url": f"http://127.0.0.1:{free_port()}/",  # where nobody listens
                    "secret": SECRET,
                    "events": ["*"],
                    "allow_private": True,
                    "retry_schedule": ["1s"] * 60,
                }
            ],
        }
        with running(Bouncer(folder, free_port(), free_port(), config)) as bouncer:
            _happen(bouncer)
            yield bouncer


def _happen(bouncer: Bouncer) -> None:
    send(bouncer)
    wait_until(lambda: len(bouncer.events()) >= 3, what=bouncer.log_file.read_text)
    _kill_readers(bouncer)
    send(bouncer)
    wait_until(lambda: len(bouncer.events()) >= 6, what=bouncer.log_file.read_text)
    wait_until(lambda: bouncer.metrics("bouncer_dnsbl_listing"), what=bouncer.log_file.read_text)


def send(bouncer: Bouncer) -> None:
    """A hard bounce, a soft one, a complaint, and a recipient who is not ours."""
    with smtplib.SMTP("127.0.0.1", bouncer.smtp_port) as session:
        for message in (HARD, SOFT, COMPLAINT):
            new = b"X-Number: %d\r\n" % next(_numbers)  # else it is the one we have already
            session.sendmail("", ["first@bounces.example.com"], new + message)
        session.mail("")
        assert session.rcpt("somebody@elsewhere.example")[0] == 550


def _kill_readers(bouncer: Bouncer) -> None:
    """The reader processes, found as the children of the service; the next message finds out."""
    for task in Path(f"/proc/{bouncer.pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
