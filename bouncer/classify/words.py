"""The server's words as rules see them: bounded, and without the address they are about.

An address can hold anything (spam-full@unknown.example), so it is taken out before a rule looks.
"""

from bouncer.reports.report import ReportedRecipient

MAX_WORDS_BYTES = 8192


def words_of(recipient: ReportedRecipient) -> bytes:
    """What the server said of this recipient; empty where the report does not quote it."""
    if recipient.reply is None:
        return b""
    text = recipient.reply.text[:MAX_WORDS_BYTES]
    for address in (recipient.recipient, recipient.original_recipient):
        if address and "@" in address:
            text = text.replace(address, "@")
    return text.encode("utf-8", "replace")[:MAX_WORDS_BYTES]
