"""JSON SMTP replies: what a sending program was told itself."""

import json

import pytest
from pydantic import ValidationError

from bouncer.reports.report import Format, Kind
from bouncer.reports.smtp_reply import SmtpReply, read_smtp_reply


def octets(**fields: object) -> bytes:
    return json.dumps({"recipient": "a@b.example", "smtp_reply": "550 5.1.1 no", **fields}).encode()


def test_a_reply_is_a_report_of_one_recipient() -> None:
    report = read_smtp_reply(
        octets(
            sender="<news@Example.com>",
            remote_mta="mx.b.example",
            occurred_at="2026-03-03T09:15:28Z",
            message_id="<m1@example.com>",
        )
    )
    [recipient] = report.recipients
    assert (report.format, report.from_domain, report.message_id) == (
        Format.SMTP_REPLY,
        "example.com",
        "m1@example.com",
    )
    assert (recipient.recipient, recipient.remote_mta) == ("a@b.example", "mx.b.example")
    assert (recipient.believed_status, recipient.smtp_code) == ("5.1.1", 550)
    assert recipient.reply is not None
    assert recipient.reply.host == "mx.b.example"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("451 4.7.1 later", Kind.DELAY),
        ("550-5.1.1 no\r\n550 5.1.1 really", Kind.BOUNCE),
        ("250 2.0.0 ok", Kind.DELIVERY),
        ("4.2.2 full", Kind.DELAY),
        ("connection lost", Kind.BOUNCE),
    ],
)
def test_the_first_digit_makes_the_kind(reply: str, kind: Kind) -> None:
    assert read_smtp_reply(octets(smtp_reply=reply)).recipients[0].kind is kind


@pytest.mark.parametrize(
    "broken", [b"", b"[]", b"\xff", b"{}", b'{"recipient":"a@b"}', octets(subject="x")]
)
def test_what_is_no_reply_is_unrecognised(broken: bytes) -> None:
    assert read_smtp_reply(broken).format is Format.UNRECOGNISED


def test_the_model_takes_nothing_it_does_not_know() -> None:
    with pytest.raises(ValidationError, match="recipint"):
        SmtpReply.model_validate({"recipint": "a@b.example", "smtp_reply": "550 no"})
