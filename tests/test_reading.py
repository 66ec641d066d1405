"""Octets in, events out: what the parts say together."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bouncer.classify import rules
from bouncer.classify.category import BounceClass, Category
from bouncer.events import Source
from bouncer.reading import Arrival, read_arrival, sending_domain_of
from bouncer.records import MediaType
from bouncer.reports.report import Format, Kind

EXAMPLE = (Path(__file__).parents[1] / "docs/examples/first-bounce.eml").read_bytes()
AT = datetime(2026, 3, 1, tzinfo=UTC)
DOMAINS = {
    "one.bounces.test": ("one.test",),
    "two.bounces.test": ("a.test", "b.test"),
    "none.bounces.test": (),
}
RULES = rules.load()


def arrival(recipient: str, media_type: MediaType = MediaType.MAIL) -> Arrival:
    return Arrival("0123", recipient, Source.SMTP, AT, media_type)


@pytest.mark.parametrize(
    ("envelope_recipient", "from_domain", "expected"),
    [
        ("x@one.bounces.test", "one.test", "one.test"),
        ("x@one.bounces.test", "elsewhere.test", "one.test"),
        ("x@ONE.bounces.test", None, "one.test"),
        ("x@two.bounces.test", "b.test", "b.test"),
        ("x@two.bounces.test", "elsewhere.test", None),
        ("x@two.bounces.test", None, None),
        ("x@none.bounces.test", "a.test", None),
        ("x@unknown.test", "a.test", None),
        ("", "a.test", "a.test"),
        ("", "one.bounces.test", "one.test"),
        ("", "elsewhere.test", None),
        ("", None, None),
    ],
)
def test_the_sending_domain_is_known_or_null(
    envelope_recipient: str, from_domain: str | None, expected: str | None
) -> None:
    assert sending_domain_of(envelope_recipient, from_domain, DOMAINS) == expected


def test_a_bounce_is_an_event_with_everything_that_is_known() -> None:
    reading = read_arrival(EXAMPLE, arrival("x@one.bounces.test"), DOMAINS, RULES)
    (event,) = reading.events
    assert (event.id, event.kind, event.class_) == ("0123-0", Kind.BOUNCE, BounceClass.HARD)
    assert (event.category, event.rule) == (Category.RECIPIENT_UNKNOWN, event.rule)
    assert event.diagnostic == "550 5.1.1 <gone@receiver.example>: there is no such user here"
    assert (event.remote_mta, event.reporting_mta) == ("in.receiver.example", "mx.receiver.example")
    assert (event.sending_domain, event.return_path) == ("one.test", "x@one.bounces.test")
    assert (event.source, event.received_at, event.ruleset) == (Source.SMTP, AT, RULES.version)


def test_what_nobody_can_read_is_one_unrecognised_event() -> None:
    reading = read_arrival(b"Subject: Lunch\n\nAt noon?\n", arrival("x@y.test"), {}, RULES)
    (event,) = reading.events
    assert (reading.format, event.kind) == (Format.UNRECOGNISED, Kind.UNRECOGNISED)
    assert (event.recipient, event.class_, event.category) == (None, None, None)


ROBOT = b"""\
From: Alumni Mail <alumni-mail@school.example>
To: news@shop.example
Subject: Your October order

You sent a message to dee@alumni.school.example, which is a forwarding address.
The address has been deactivated.
"""


@pytest.mark.parametrize(
    ("sender", "header", "expected"),
    [
        ("", b"", "dee@alumni.school.example"),
        (None, b"Return-Path: <>\n", "dee@alumni.school.example"),
        (None, b"From MAILER-DAEMON Tue Mar  3 10:15:30 2026\n", "dee@alumni.school.example"),
        ("alumni-mail@school.example", b"", None),
        # What a mail says of itself counts only where nobody saw its envelope.
        ("alumni-mail@school.example", b"Return-Path: <>\n", None),
        (None, b"", None),
    ],
)
def test_what_a_program_says_of_an_address_is_believed_where_a_rule_knows_it(
    sender: str | None, header: bytes, expected: str | None
) -> None:
    of_nobody = replace(arrival("x@one.bounces.test"), sender=sender)
    (event,) = read_arrival(header + ROBOT, of_nobody, {}, RULES).events
    assert event.recipient == expected
    assert event.kind is (Kind.BOUNCE if expected else Kind.UNRECOGNISED)
    assert event.category is (Category.RECIPIENT_DISABLED if expected else None)


@pytest.mark.parametrize(
    ("words", "other"),
    [
        ("The address has been deactivated.", "The address is a fine one."),
        ("Your October order", "Out of office"),
        ("Your October order", "Re: Your October order"),
        ("Your October order", "[shop #1234] Your October order"),
        ("To: news@shop.example", "To: dee@alumni.school.example"),
        ("To: news@shop.example", "To: news@shop.example\nList-Id: <shop.example>"),
        ("You sent a message to", "Write to my new address"),
    ],
)
def test_what_else_a_program_writes_is_no_bounce(words: str, other: str) -> None:
    octets = ROBOT.replace(words.encode(), other.encode())
    of_nobody = replace(arrival("x@one.bounces.test"), sender="")
    (event,) = read_arrival(octets, of_nobody, {}, RULES).events
    assert event.kind not in (Kind.BOUNCE, Kind.DELAY)


@pytest.mark.parametrize(
    ("reply", "kind", "class_", "category"),
    [
        ("550 5.1.1 no such user", Kind.BOUNCE, BounceClass.HARD, Category.RECIPIENT_UNKNOWN),
        ("452 4.2.2 mailbox full", Kind.DELAY, BounceClass.SOFT, Category.MAILBOX_FULL),
        ("450 4.1.1 no such user", Kind.DELAY, BounceClass.SOFT, Category.RECIPIENT_UNKNOWN),
    ],
)
def test_a_reply_that_a_sender_saw_itself_is_judged_alike(
    reply: str, kind: Kind, class_: BounceClass, category: Category
) -> None:
    sent = {
        "recipient": "gone@receiver.test",
        "smtp_reply": reply,
        "sender": "b@one.bounces.test",
    }
    octets = json.dumps(sent).encode()
    reading = read_arrival(octets, arrival("", MediaType.SMTP_REPLY), DOMAINS, RULES)
    (event,) = reading.events
    assert (event.kind, event.class_, event.category) == (kind, class_, category)
    assert (event.smtp_code, event.sending_domain) == (int(reply[:3]), "one.test")


def test_a_diagnostic_is_cut_at_its_limit() -> None:
    endless = EXAMPLE.replace(b"there is no such user here", "é".encode() * 9000)
    (event,) = read_arrival(endless, arrival("x@y.test"), {}, RULES).events
    assert event.diagnostic is not None
    assert 8000 < len(event.diagnostic.encode()) <= 8192
