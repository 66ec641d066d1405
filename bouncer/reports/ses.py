"""Amazon SES notifications that arrive as mail: SNS with an e-mail subscription.

The body is JSON, as one object or inside the `Message` of an SNS envelope; on its way SES itself
folds long lines by `!`, newline and space.
"""

import json
from typing import Any

from bouncer.mail.address import address_from_field, clean, domain_of
from bouncer.mail.date import date_from
from bouncer.mail.message import Message
from bouncer.mail.reply import reply_from
from bouncer.mail.status import status_in
from bouncer.reports.report import Format, Kind, Report, ReportedRecipient

_MAX_JSON = 256 * 1024
_MAX_RECIPIENTS = 500
_COMPLAINTS = {"not-spam": Kind.NOT_SPAM, "auth-failure": Kind.AUTH_REPORT}
_ABOUT = {
    "Bounce": ("bounce", "bouncedRecipients"),
    "Complaint": ("complaint", "complainedRecipients"),
    "DeliveryDelay": ("deliveryDelay", "delayedRecipients"),
    "Delivery": ("delivery", "recipients"),
}


def read(message: Message) -> Report | None:
    """The report of a notification in the text part."""
    if message.root.type != "text/plain":
        return None
    text = message.root.head
    if not text[:512].lstrip().startswith("{") or (
        "otificationType" not in text and "eventType" not in text
    ):
        return None
    notice = _notice(message.root.text[:_MAX_JSON])
    kind = notice.get("notificationType") or notice.get("eventType")
    if kind not in _ABOUT:
        return None
    name, listed = _ABOUT[kind]
    details = _object(notice.get(name))
    recipients = [
        found
        for item in _list(details.get(listed))[:_MAX_RECIPIENTS]
        if (found := _recipient(kind, details, item))
    ]
    if not recipients:
        return None
    return _report(message, _object(notice.get("mail")), details, recipients)


def _report(
    message: Message, mail: dict[str, Any], details: dict[str, Any], found: list[ReportedRecipient]
) -> Report:
    common = _object(mail.get("commonHeaders"))
    message_id = _text(common.get("messageId"))
    source = _text(mail.get("source"))
    mta = _text(details.get("reportingMTA"))
    return Report(
        format=Format.SES,
        recipients=tuple(found),
        reporting_mta=clean(mta.rpartition(";")[2].strip())[:255] if mta else None,
        message_id=clean(message_id.strip("<>"))[:998] if message_id else None,
        from_domain=domain_of(address_from_field(source) or "") if source else None,
        feedback_type=_word(details.get("complaintFeedbackType")),
        defects=tuple(message.defects),
    )


def _recipient(kind: str, details: dict[str, Any], item: object) -> ReportedRecipient | None:
    fields = _object(item)
    address = _text(fields.get("emailAddress")) or _text(item)
    if not address:
        return None
    diagnostic = _text(fields.get("diagnosticCode")) or _text(details.get("smtpResponse")) or ""
    words = diagnostic.partition(";")[2] if diagnostic.startswith("smtp;") else diagnostic
    return ReportedRecipient(
        kind=_kind(kind, details),
        recipient=address_from_field(address),
        action=_word(fields.get("action")),
        status=status_in(_text(fields.get("status")) or ""),
        reply=reply_from(words),
        last_attempt_date=date_from(_text(details.get("timestamp")) or ""),
    )


def _kind(kind: str, details: dict[str, Any]) -> Kind:
    if kind == "Complaint":
        return _COMPLAINTS.get(_text(details.get("complaintFeedbackType")) or "", Kind.COMPLAINT)
    return {"Bounce": Kind.BOUNCE, "DeliveryDelay": Kind.DELAY}.get(kind, Kind.DELIVERY)


def _notice(text: str) -> dict[str, Any]:
    unfolded = text.replace("!\n ", "")
    try:
        outer, _ = json.JSONDecoder(strict=False).raw_decode(unfolded.lstrip())
        inner = _text(_object(outer).get("Message"))
        return _object(json.loads(inner, strict=False) if inner else outer)
    except (ValueError, RecursionError):
        return {}


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _word(value: object) -> str | None:
    return clean(value)[:40] if isinstance(value, str) else None
