"""kill -9 in the middle of the work loses nothing that was acknowledged, and doubles nothing."""

import smtplib
import threading
from collections.abc import Callable
from pathlib import Path

from tests.faults.clients import DOMAINS, DSN, RECIPIENT
from tests.servers.bouncer import Bouncer, running, wait_until

MESSAGES = 1000
CLIENTS = 8
KILL_AT = (150, 450, 800)  # acknowledged messages at which the service is killed


def test_each_acknowledged_message_is_there_once_after_kill_9(
    store_url: str, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    bouncer = Bouncer(
        tmp_path,
        free_port(),
        free_port(),
        {
            "domains": DOMAINS,
            "store": {"url": store_url},
            "pipeline": {"lease": "3s"},
        },
    )
    acknowledged: set[int] = set()
    with running(bouncer):
        clients = _clients(bouncer.smtp_port, acknowledged)
        for count in KILL_AT:
            wait_until(lambda count=count: len(acknowledged) >= count, seconds=60)
            bouncer.kill()
            bouncer.start()
        for client in clients:
            client.join(60)
        assert len(acknowledged) == MESSAGES
        wait_until(
            lambda: len(bouncer.events()) >= MESSAGES,
            seconds=60,
            what=lambda: f"{len(bouncer.events())} events of {MESSAGES}",
        )
        recipients = [event["recipient"] for event in bouncer.events()]
        assert sorted(recipients) == sorted(f"gone-{n}@receiver.example" for n in range(MESSAGES))
        for state in ("waiting", "reading", "quarantined"):
            assert bouncer.metric(f'bouncer_inbox_messages{{state="{state}"}}') == 0
        assert bouncer.metric('bouncer_suppressions{reason="hard_bounce"}') == MESSAGES


def _clients(port: int, acknowledged: set[int]) -> list[threading.Thread]:
    """Each sends its share, and what was not acknowledged again until it is."""

    def send(numbers: range) -> None:
        for number in numbers:
            while number not in acknowledged:
                _try(port, number, acknowledged)

    clients = [
        threading.Thread(target=send, args=(range(n, MESSAGES, CLIENTS),), daemon=True)
        for n in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    return clients


def _try(port: int, number: int, acknowledged: set[int]) -> None:
    mail = DSN.format(address=f"gone-{number}@receiver.example").replace("\n", "\r\n").encode()
    try:
        with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
            client.sendmail("", [RECIPIENT], mail)
            acknowledged.add(number)
    except (OSError, smtplib.SMTPException):
        threading.Event().wait(0.05)
