"""Feedback reports (RFC 5965) and authentication failure reports (RFC 6591).

Recipients are often redacted: then the returned mail's header names the one who complained, or
nobody does and the report stands without a recipient, with what it says as the original one.
"""

import re

from bouncer.mail.address import address_from_field, addresses_in, clean, unique
from bouncer.mail.date import date_from
from bouncer.mail.message import Message, Part
from bouncer.reports.about import ReturnedHeader, returned_header
from bouncer.reports.report import Format, Kind, Report, ReportedRecipient

MAX_RECIPIENTS = 500
_KINDS = {
    "not-spam": Kind.NOT_SPAM,
    "auth-failure": Kind.AUTH_REPORT,
    "dmarc": Kind.AUTH_REPORT,
    "opt-out": Kind.UNSUBSCRIBE,
    "opt-out-list": Kind.UNSUBSCRIBE,
    "unsubscribe": Kind.UNSUBSCRIBE,
}
_FIELD = re.compile(r"(?m)^([A-Za-z][A-Za-z0-9-]{1,60})[ \t]{0,4}:[ \t]*(.*(?:\n[ \t]+\S.*)*)")
# What stands where the address would: words, and digests as RFC 6590 recommends them.
_REDACTED = re.compile(
    r"redact|undisclosed|^x+@|\*{2,}|anonymi|^hidden@|^[0-9a-f]{32,}@|^[a-z0-9+/]{16,}={1,2}@", re.I
)

_FEEDBACK_NAMES = (b"Feedback-Type:", b"Feedback-type:", b"feedback-type:")
_FEEDBACK_TYPE = re.compile(r"(?mi)^feedback-type:")

Fields = dict[str, list[str]]


def read(message: Message) -> Report | None:
    """The report of a feedback-report part, or of Microsoft's JMRP, which has none."""
    part = message.part("message/feedback-report") or _mislabelled(message)
    if part is None:
        return _outlook(message)
    fields: Fields = {}
    for found in _FIELD.finditer(part.text[: 64 * 1024]):
        fields.setdefault(found.group(1).lower(), []).append(
            clean(" ".join(found.group(2).split()))
        )
    feedback = fields.get("feedback-type", ["abuse"])[0].split(" ")[0].lower().rstrip(";")
    if "feedback-type" not in fields:
        message.note("feedback type missing")
    header = returned_header(message)
    return _report(message, fields, header, feedback, _recipients(fields, header))


def _mislabelled(message: Message) -> Part | None:
    """The fields as text, in a mail that declares itself a feedback report."""
    declared = message.root.fields.get(b"content-type")
    if declared is None or b"feedback-report" not in declared[0].lower():
        return None
    for part in message.parts:
        if part.may_contain(_FEEDBACK_NAMES) and _FEEDBACK_TYPE.search(part.head):
            return part
    return None


def _report(
    message: Message, fields: Fields, header: ReturnedHeader, feedback: str, recipients: list[str]
) -> Report:
    kind = _KINDS.get(feedback, Kind.COMPLAINT)
    if not recipients:
        message.note("recipient redacted")
    arrival = fields.get("arrival-date") or fields.get("received-date")
    mta = fields.get("reporting-mta")
    return Report(
        format=Format.ARF,
        recipients=tuple(ReportedRecipient(kind, address) for address in recipients)
        or (ReportedRecipient(kind, None, original_recipient=_placeholder(fields, header)),),
        reporting_mta=mta[0].rpartition(";")[2].strip()[:255] or None if mta else None,
        arrival_date=date_from(arrival[0]) if arrival else None,
        envelope_id=fields.get("original-envelope-id", [None])[0],
        message_id=header.message_id,
        from_domain=header.from_domain,
        feedback_type=feedback[:40],
        defects=tuple(message.defects),
    )


def _recipients(fields: Fields, header: ReturnedHeader) -> list[str]:
    for name in ("original-rcpt-to", "removal-recipient"):
        found = [address_from_field(value) for value in fields.get(name, ())]
        usable = [a for a in found if a and "@" in a and not _REDACTED.search(a)]
        if usable:
            return unique(usable)[:MAX_RECIPIENTS]
    addressees = unique(header.addressees)
    return addressees if len(addressees) == 1 and not _REDACTED.search(addressees[0]) else []


def _placeholder(fields: Fields, header: ReturnedHeader) -> str | None:
    """What stands where the address was: it names nobody, but often whose user complained."""
    for value in fields.get("original-rcpt-to", ()):
        return address_from_field(value)
    addressees = unique(header.addressees)
    return addressees[0] if len(addressees) == 1 else None


def _outlook(message: Message) -> Report | None:
    """Microsoft's junk reporting: the mail itself, with the recipient in a header of theirs."""
    part = message.returned()
    if part is None or b"X-HmXmrOriginalRecipient" not in (block := part.header_block()):
        return None
    header = ReturnedHeader(block)
    original = header.value(b"x-hmxmroriginalrecipient")
    if original is None:
        return None
    return _report(message, {}, header, "abuse", addresses_in(original)[:1])
