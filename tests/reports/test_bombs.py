"""Mails built to hurt: each is answered, and with work that its size bounds."""

import base64
import time
import tracemalloc
from collections.abc import Callable

import pytest

from bouncer.mail import message as limits
from bouncer.mail.message import Message
from bouncer.reports import dsn
from bouncer.reports.read import read

HEAD = b"From: MAILER-DAEMON@x.example\nTo: us@example.com\nSubject: failure notice\n"
REPORT = HEAD + b"Content-Type: multipart/report; report-type=delivery-status; boundary=x\n\n"


def nested(depth: int) -> bytes:
    parts = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(depth)
    )
    return HEAD + parts + b"\nend"


def status(*bodies: bytes) -> bytes:
    head = b"--x\nContent-Type: message/delivery-status\n\n"
    return REPORT + b"\n".join(head + body for body in bodies) + b"\n--x--\n"


def attached(count: int, lines: int) -> bytes:
    report = (
        status(b"Action: failed\n" + b"a\n" * lines).replace(b"=x", b"=y").replace(b"-x", b"-y")
    )
    part = b"--x\nContent-Type: message/rfc822\n\n" + report
    return HEAD + b"Content-Type: multipart/mixed; boundary=x\n\n" + part * count + b"--x--\n"


FAILED = b"Final-Recipient: rfc822; r%d@b.c\nAction: failed\n"


def prose(body: bytes, headers: bytes = b"") -> bytes:
    return HEAD + headers + b"\nDelivery failed permanently:\n\n" + body


BOMBS: dict[str, Callable[[], bytes]] = {
    "deep nesting": lambda: nested(20_000),
    "a hundred thousand headers": lambda: b"X-A: b\n" * 100_000 + HEAD + b"\nx",
    "one header of ten megabytes": lambda: b"X-A: " + b"b" * 10_000_000 + b"\n" + HEAD + b"\nx",
    "endless folding": lambda: b"X-A: b\n" + b" c\n" * 1_000_000 + HEAD + b"\nx",
    "header without colon": lambda: HEAD + b"a" * 1_000_000 + b"\n\nx",
    "encoded words": lambda: b"Subject: " + b"=?utf-8?Q?=41?= " * 100_000 + b"\n" + HEAD + b"\nx",
    "broken encoded words": lambda: b"Subject: " + b"=?utf-8?Q?" * 100_000 + b"\n" + HEAD + b"\n",
    "parameters": lambda: HEAD + b"Content-Type: text/plain" + b"; a*0*=x" * 50_000 + b"\n\nx",
    "addresses": lambda: b"To: " + b"a@b.c, " * 100_000 + b"\n" + HEAD + b"\nx",
    "failed addresses": lambda: (
        b"X-Failed-Recipients: " + b"a@b.c, " * 9_000 + b"\n" + HEAD + b"\n"
    ),
    "boundary flood": lambda: REPORT + b"--x\n\n" * 200_000,
    "boundary lookalikes": lambda: REPORT + b"--xx\n" * 400_000,
    "boundary of a megabyte": lambda: (
        HEAD + b"Content-Type: multipart/mixed; boundary=" + b"b" * 1_000_000 + b"\n\nx"
    ),
    "base64 of ten megabytes": lambda: (
        HEAD
        + b"Content-Transfer-Encoding: base64\n\n"
        + base64.encodebytes(b"delivery failed a@b.c\n" * 300_000)
    ),
    "quoted-printable of ten megabytes": lambda: (
        HEAD + b"Content-Transfer-Encoding: quoted-printable\n\n" + b"=41=\n" * 2_000_000
    ),
    "nothing but NUL": lambda: HEAD + b"\n" + b"\x00" * 5_000_000,
    "nothing but newlines": lambda: b"\n" * 5_000_000,
    "nothing but carriage returns": lambda: HEAD + b"\r" * 5_000_000,
    "recipients": lambda: status(
        b"\n\n".join(b"Final-Recipient: rfc822; r%d@b.c\nAction: failed" % n for n in range(50_000))
    ),
    "diagnostic of five megabytes": lambda: status(
        b"Final-Recipient: rfc822; a@b.c\nAction: failed\nDiagnostic-Code: smtp; "
        + b"550-5.1.1 x " * 400_000
    ),
    "lines that continue a field": lambda: status(
        *[FAILED % 1 + b"Diagnostic-Code: smtp; 550 x\n" + b"a\n" * 490_000] * 8
    ),
    "long diagnostics": lambda: status(
        *[FAILED % n + b"Diagnostic-Code: smtp; " + b"x 550 " * 2_700 for n in range(900)]
    ),
    "recipients in prose and in fields": lambda: status(
        b"\n\n".join(FAILED % n + b"Status: 5.1.1" for n in range(1_000))
    ).replace(
        b"--x\n",
        b"--x\n\n" + b"".join(b"<r%d@b.c>: none\n" % n for n in range(1_000)) + b"--x\n",
        1,
    ),
    "reports within a report": lambda: attached(40, 100_000),
    "fields in many texts": lambda: (
        HEAD
        + b"Content-Type: multipart/mixed; boundary=x\n\n"
        + (b"--x\n\nFinal-Recipient: x\n" + b"a\n" * 490_000) * 8
    ),
    "fields without values": lambda: status(b"X-A:\n" * 300_000),
    "at signs": lambda: prose(b"@" * 1_000_000),
    "one word": lambda: prose(b"a" * 2_000_000 + b"@b.c"),
    "replies": lambda: prose(b"<a@b.c>:\n" + b"550 " * 500_000),
    "hypertext": lambda: prose(b"<style" * 300_000, b"Content-Type: text/html\n"),
    "unclosed tags": lambda: prose(b"<a " * 500_000, b"Content-Type: text/html\n"),
    "quotes": lambda: prose(b'"' * 1_000_000 + b"@b.c"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_answered_within_bounds(name: str) -> None:
    octets = BOMBS[name]()
    began = time.process_time()
    report = read(octets)
    assert time.process_time() - began < 5, "the limit of a worker"
    assert len(report.recipients) <= 1000


@pytest.mark.parametrize("name", ["base64 of ten megabytes", "recipients", "endless folding"])
def test_a_bomb_needs_no_more_memory_than_a_few_times_its_size(name: str) -> None:
    octets = BOMBS[name]()
    tracemalloc.start()
    try:
        read(octets)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 64 * 1024 * 1024


def test_the_limits_hold() -> None:
    assert len(Message(b"X-A: b\n" * 5_000 + b"\nx").root.fields[b"x-a"]) <= limits.MAX_HEADERS
    long = Message(b"X-A: " + b"b" * 200_000 + b"\n\nx").root.fields[b"x-a"][0]
    assert len(long) == limits.MAX_HEADER
    assert len(Message(REPORT + b"--x\n\np\n" * 3_000).parts) == limits.MAX_PARTS
    assert "nested too deeply" in Message(nested(100)).defects
    assert len(Message(prose(b"a" * 3_000_000)).root.text) <= limits.MAX_TEXT


@pytest.mark.parametrize("parts", [1, 4, 16])
def test_the_fields_that_are_looked_at_grow_with_the_mail_and_then_no_more(
    monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    looked_at = 0
    collect = dsn._collect

    def counting(text: str, groups: dsn._Groups) -> None:
        nonlocal looked_at
        looked_at += len(text)
        collect(text, groups)

    monkeypatch.setattr(dsn, "_collect", counting)
    read(status(*[FAILED % 1 + b"X-A: b\n" * 60_000] * parts))
    assert 400_000 < looked_at <= limits.MAX_TEXT


@pytest.mark.parametrize("size", [1, 4, 16])
def test_the_prose_that_is_looked_at_grows_with_the_mail_and_then_no_more(size: int) -> None:
    message = Message(prose(b"x" * (size * 100_000)))
    assert len(message.root.head) <= limits.MAX_HEAD
