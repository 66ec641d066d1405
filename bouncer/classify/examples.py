"""Examples of rules: whole replies, and whom they are about."""

import re

from bouncer.classify.rules import Said, said_of
from bouncer.mail.reply import reply_from
from bouncer.reports.report import Kind, ReportedRecipient

RECIPIENT = "user@example.com"
_ADDRESS = re.compile(r"[\w.+=-]+@[\w.-]*\w")
# Whose address it is when not the recipient's: the words in front of it.
_ANOTHER = re.compile(
    r"(sender|from|by|originator|return.path|reply.to|envelope|mailto|contact|please try|see|id"
    r"|(send|write)( \S+){0,3} to)"
    r"\b[^\w@]*(address[^\w@]*)?$",
    re.IGNORECASE,
)
_MAX_BEFORE = 40


def recipient_in(example: str) -> str:
    """The address that an example is about: the first that the words do not give to another."""
    found = list(_ADDRESS.finditer(example))
    if any(one.group() == RECIPIENT for one in found):
        return RECIPIENT
    for one in found:
        before = example[max(0, one.start() - _MAX_BEFORE) : one.start()]
        if not one.group().startswith("sender@") and not _ANOTHER.search(before):
            return one.group()
    return RECIPIENT


def said_in(example: str, recipient: str = RECIPIENT) -> Said:
    """What rules see of an example that is about this recipient."""
    return said_of(ReportedRecipient(Kind.BOUNCE, recipient, reply=reply_from(example)))
