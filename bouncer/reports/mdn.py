"""Message disposition notifications (RFC 8098): somebody, or some program, has seen the mail."""

import re

from bouncer.mail.address import address_from_field, addresses_in, clean
from bouncer.mail.message import Message
from bouncer.mail.reply import reply_from
from bouncer.reports.about import returned_header
from bouncer.reports.report import Format, Kind, Report, ReportedRecipient

_TYPES = ("message/disposition-notification", "message/global-disposition-notification")
# Sieve's `reject` (Dovecot) answers with a disposition notification where others send a bounce.
_REJECTED = re.compile(r"automatically rejected|could not be delivered|was rejected", re.I)
_FIELD = re.compile(
    r"(?mi)^(final-recipient|original-recipient|original-message-id|disposition)"
    r"[ \t]{0,4}:(.*(?:\n[ \t]+\S.*)*)"
)


def read(message: Message) -> Report | None:
    """The report of a disposition-notification part."""
    part = message.part(*_TYPES)
    if part is None:
        return None
    fields = {
        name.lower(): clean(" ".join(value.split()))
        for name, value in _FIELD.findall(part.text[:65536])
    }
    final, original = fields.get("final-recipient"), fields.get("original-recipient")
    address = address_from_field(final) if final else None
    authors = addresses_in(message.header("from") or "")
    header = returned_header(message)
    told = fields.get("original-message-id", "").strip("<> ")[:998]
    words = _words_of_rejection(message, fields.get("disposition", ""))
    return Report(
        format=Format.MDN,
        recipients=(
            ReportedRecipient(
                kind=Kind.BOUNCE if words else Kind.AUTO_REPLY,
                recipient=address or (authors[0] if authors else None),
                original_recipient=address_from_field(original) if original else None,
                reply=reply_from(words) if words else None,
            ),
        ),
        message_id=told or header.message_id,
        from_domain=header.from_domain,
        defects=tuple(message.defects),
    )


def _words_of_rejection(message: Message, disposition: str) -> str | None:
    if "deleted" not in disposition.lower() and "failed" not in disposition.lower():
        return None
    text = next((part.text for part in message.texts()), "")
    return text[:4096] if _REJECTED.search(text[:4096]) else None
