"""A real Postfix is refused in eight ways; what it reports is an event, a metric, and more."""

import asyncio
import smtplib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.servers import sink, webhook_receiver
from tests.servers.bouncer import Bouncer, wait_until
from tests.servers.postfix import Postfix, require_postfix

# Who was refused: (class, category, status, reply code) as each of them is to be reported.
REFUSED = {
    "nouser@receiver.test": ("bounce", "hard", "recipient_unknown", "5.1.1", 550),
    "nouser-long@receiver.test": ("bounce", "hard", "recipient_unknown", "5.1.1", 550),
    "full@receiver.test": ("bounce", "soft", "mailbox_full", "5.2.2", 552),
    "listed@receiver.test": ("bounce", "soft", "blocklisted", "5.7.1", 554),
    "dmarc@receiver.test": ("bounce", "soft", "auth_failure", "5.7.26", 550),
    "späti@receiver.test": ("bounce", "hard", "recipient_unknown", "5.1.1", 550),
    "nouser@second.test": ("bounce", "hard", "recipient_unknown", "5.1.1", 550),
    "full@second.test": ("bounce", "soft", "mailbox_full", "5.2.2", 552),
}
# Greylisted until Postfix gives up: a notice of the delay on the way, then the end.
GREY = "grey@receiver.test"

# As docs/return-path.md tells it, plus the relay of this test.
RETURN_PATH = """\
sender_canonical_classes = envelope_sender
sender_canonical_maps = regexp:{root}/return-path
transport_maps = inline:{{bounces.example.com=smtp:[127.0.0.1]:{port}}}
"""


async def test_what_postfix_reports_is_event_metric_suppression_and_webhook(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    require_postfix()
    smtp_port = free_port()
    # Not below tmp_path, which pytest may close to the user that Postfix's daemons run as.
    folder = tempfile.TemporaryDirectory(prefix="bouncer-postfix-")
    root = Path(folder.name) / "postfix"
    async with (
        sink.listening(free_port()) as receiver,
        webhook_receiver.receiving(free_port()) as hook,
    ):
        config = {
            "domains": [
                {"bounce_domain": "bounces.example.com", "sending_domains": ["example.com"]}
            ],
            "webhooks": [
                {
                    "url": hook.url,
                    "secret": webhook_receiver.SECRET,
                    "events": ["bounce.*", "suppression.added"],
                    "allow_private": True,
                }
            ],
        }
        postfix = Postfix(
            root, free_port(), receiver.port, RETURN_PATH.format(root=root, port=smtp_port)
        )
        (root / "return-path").write_text(r"/^[^@]+@example\.com$/ bounce@bounces.example.com" "\n")
        bouncer = Bouncer(tmp_path, smtp_port, free_port(), config)
        await asyncio.to_thread(postfix.start)
        try:
            await asyncio.to_thread(bouncer.start)
            await asyncio.to_thread(_send_all, postfix.port)
            await asyncio.to_thread(
                wait_until,
                lambda: len(bouncer.events()) >= len(REFUSED) + 2 and postfix.queued() == 0,
                seconds=60,
                what=lambda: f"{bouncer.events()}\n{postfix.log()[-4000:]}",
            )
            events = await asyncio.to_thread(bouncer.events)
            wanted = len(events) + 4  # each event, and each suppression
            await asyncio.to_thread(wait_until, lambda: len(hook.bodies) >= wanted, seconds=20)
            await asyncio.to_thread(_agree, bouncer, hook, events)
        finally:
            bouncer.close()
            await asyncio.to_thread(postfix.stop)
            folder.cleanup()
    assert [address for address, _ in receiver.taken] == ["ok@second.test"]
    assert hook.bad == 0


def _send_all(port: int) -> None:
    """One mail for each address at receiver.test, one with three recipients at second.test."""
    with smtplib.SMTP("127.0.0.1", port) as client:
        for number, address in enumerate([*REFUSED, GREY]):
            if address.endswith("@receiver.test"):
                _send(client, [address], f"single-{number}")
        _send(client, ["nouser@second.test", "full@second.test", "ok@second.test"], "three")


def _send(client: smtplib.SMTP, recipients: list[str], name: str) -> None:
    international = any(not r.isascii() for r in recipients)
    mail = (
        f"From: News <news@example.com>\r\nTo: {', '.join(recipients)}\r\n"
        f"Subject: News\r\nMessage-ID: <{name}@example.com>\r\n\r\nHello.\r\n"
    )
    options = ["SMTPUTF8", "BODY=8BITMIME"] if international else []
    client.sendmail("news@example.com", recipients, mail.encode(), mail_options=options)


def _agree(bouncer: Bouncer, hook: webhook_receiver.Receiver, events: list[dict[str, Any]]) -> None:
    by_recipient = {e["recipient"]: e for e in events if e["recipient"] != GREY}
    assert set(by_recipient) == set(REFUSED)
    for address, (kind, class_, category, status, code) in REFUSED.items():
        event = by_recipient[address]
        found = (
            event["kind"], event["class"], event["category"], event["status"], event["smtp_code"],
        )  # fmt: skip
        assert found == (kind, class_, category, status, code), event
        assert event["sending_domain"] == "example.com"
        assert event["return_path"] == "bounce@bounces.example.com"
        assert event["message_id"].endswith("@example.com")
        answer = bouncer.http.get(f"/v1/suppressions/{address}")
        assert (answer.status_code == 200) == (class_ == "hard"), address
        told = [d for d in hook.of_type(f"bounce.{class_}") if d["recipient"] == address]
        assert told == [event]
    grey = sorted((e for e in events if e["recipient"] == GREY), key=lambda e: e["received_at"])
    assert [(e["kind"], e["class"], e["status"], e["smtp_code"]) for e in grey] == [
        ("delay", "soft", "4.7.1", 451),
        ("bounce", "soft", "4.7.1", 451),
    ]
    assert [e["category"] for e in grey] == ["greylisted", "greylisted"]
    assert hook.of_type("bounce.delayed") == [grey[0]]
    hard = {a for a, expected in REFUSED.items() if expected[1] == "hard"}
    assert {d["address"] for d in hook.of_type("suppression.added")} == hard
    counted = bouncer.metrics("bouncer_events_total")
    assert sum(counted.values()) == len(events)
    assert bouncer.metric('bouncer_suppressions{reason="hard_bounce"}') == len(hard)
    assert sum(bouncer.metrics("bouncer_messages_processed_total").values()) == len(
        {e["id"].rpartition("-")[0] for e in events}
    )
