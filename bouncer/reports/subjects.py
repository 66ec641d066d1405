"""What a subject says of the mail under it: an answer, a ticket, mail of a list."""

import re

from bouncer.reports.phrases import ANSWERS

# What lists and ticket systems put in front.
_TAG = re.compile(r"(?:\[[^\]]{0,60}\]\s{0,4}){1,3}")
_TICKET = re.compile(
    r"\[[^\]]{0,60}#\s?\d|[^#]{0,200}[(\[]#\s?\d{2,12}[)\]]\s*$"
    r"|\[(?:bug|ticket|case|issue) \d|(?:\[[^\]]{0,60}\] )?[(\[][a-z]{2,10}-\d{1,7}[)\]]"
)


def answers(subject: str) -> bool:
    """Whether it is that of an answer, whatever stands in front. In lower case, as all here."""
    return _TAG.sub("", subject, 1).startswith(ANSWERS)


def is_ticket(subject: str) -> bool:
    """Whether it belongs to a ticket, of a helpdesk or of developers."""
    return _TICKET.match(subject) is not None
