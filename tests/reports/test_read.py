"""What holds for any octets: no exception, bounded work, the same answer twice, clean text."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bouncer.reports import read as readers
from bouncer.reports.read import read
from bouncer.reports.report import Format, Kind
from tests.reports.described import described
from tests.reports.test_fuzz import SAMPLES


def checked(octets: bytes) -> str:
    """What is read, as JSON that any reader and any database takes."""
    text = json.dumps(described(read(octets)), ensure_ascii=False)
    text.encode("utf-8")
    assert "\\u0000" not in text
    for recipient in read(octets).recipients:
        assert recipient.reply is None or len(recipient.reply.text.encode()) <= 8192
    return text


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=2000))
def test_any_octets_are_read(octets: bytes) -> None:
    checked(octets)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_piece_of_a_sample_is_read(data: st.DataObject) -> None:
    sample = data.draw(st.sampled_from(SAMPLES))
    begin = data.draw(st.integers(0, len(sample)))
    checked(sample[begin : begin + data.draw(st.integers(0, len(sample)))])


def test_nothing_at_all_is_unrecognised() -> None:
    assert read(b"").format is Format.UNRECOGNISED


def test_the_readers_stand_from_the_most_to_the_least_authoritative() -> None:
    names = [
        f"{reader.__module__.rpartition('.')[2]}.{reader.__name__}" for reader in (readers.READERS)
    ]
    assert names.index("dsn.read") < names.index("freetext.read") < names.index("autoreply.read")


def test_the_returned_mail_never_gives_the_verdict() -> None:
    octets = (
        b"From: MAILER-DAEMON@mx.example.net\nTo: us@example.com\nSubject: failure notice\n\n"
        b"<new@example.org>:\nSorry, I couldn't find any host named example.org. (#5.1.2)\n\n"
        b"--- Below this line is a copy of the message.\n\nReceived: from x\n\n"
        b"<old@example.org>: 552 5.2.2 mailbox full\n"
    )
    [recipient] = read(octets).recipients
    assert (recipient.recipient, recipient.believed_status) == ("new@example.org", "5.1.2")


def test_flufl_is_asked_where_the_prose_names_nobody() -> None:
    octets = (
        b"From: <MAILER-DAEMON@example.net>\nTo: us@example.com\nSubject: failure notice\n\n"
        b"Hi. This is the qmail-send program at example.net.\n"
        b"I'm afraid I wasn't able to deliver your message to the following addresses.\n\n"
        b"<gone@intranet>:\nno such user\n"
    )
    report = read(octets)
    assert report.format is Format.FLUFL
    assert [r.recipient for r in report.recipients] == ["gone@intranet"]


def test_an_alias_that_led_to_the_recipient_is_the_original_recipient() -> None:
    octets = (
        b"From: MAILER-DAEMON@mx.example.net\nTo: us@example.com\nSubject: Returned mail\n\n"
        b"   ----- The following addresses had permanent fatal errors -----\n"
        b"<zoe@inner.example>\n    (expanded from: <team@example.org>)\n\n"
        b"   ----- Transcript of session follows -----\n"
        b"550 5.1.1 <zoe@inner.example>... User unknown\n"
    )
    [recipient] = read(octets).recipients
    assert (recipient.recipient, recipient.original_recipient) == (
        "zoe@inner.example",
        "team@example.org",
    )


@pytest.mark.parametrize(
    ("quoted", "field", "believed"),
    [
        ("550 5.7.26 unauthenticated", "5.1.1", "5.7.26"),
        ("550 5.0.0 no", "5.1.1", "5.1.1"),
        ("451 4.0.0 no", "5.1.1", "4.0.0"),
        ("550 no", "5.1.1", "5.1.1"),
        ("550 5.2.1 off", "5.0.0", "5.2.1"),
    ],
)
def test_the_remote_servers_words_win_over_the_status_field(
    quoted: str, field: str, believed: str
) -> None:
    [recipient] = read(delivery_status("failed", field, quoted)).recipients
    assert recipient.believed_status == believed


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("failed", Kind.BOUNCE),
        ("Failure", Kind.BOUNCE),
        ("delayed", Kind.DELAY),
        ("delivered", Kind.DELIVERY),
        ("deliverable", Kind.DELIVERY),
        ("relayed", Kind.RELAYED),
        ("expanded", Kind.EXPANDED),
        ("dismayed", Kind.BOUNCE),
    ],
)
def test_the_action_makes_the_kind(action: str, kind: Kind) -> None:
    [recipient] = read(delivery_status(action, "5.1.1", "550 no")).recipients
    assert recipient.kind is kind


def delivery_status(action: str, status: str, quoted: str) -> bytes:
    return (
        "From: MAILER-DAEMON@mx.example.net\nTo: us@example.com\nSubject: failed\n"
        "Content-Type: multipart/report; report-type=delivery-status; boundary=x\n\n--x\n"
        "Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.net\n\n"
        f"Final-Recipient: rfc822; a@example.org\nAction: {action}\nStatus: {status}\n"
        f"Diagnostic-Code: smtp; {quoted}\n\n--x--\n"
    ).encode()
