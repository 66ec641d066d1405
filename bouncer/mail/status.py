"""Enhanced status codes (RFC 3463): class.subject.detail."""

import re

_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?!\d|\.\d)")


def status_in(text: str, start: int = 0) -> str | None:
    """The first enhanced status that stands in the text from `start` on.

    One that goes on from a digit or a dot is part of an IP address or a version: 192.0.2.5.
    """
    for found in _STATUS.finditer(text, start):
        at = found.start()
        if not at or not (text[at - 1].isdigit() or text[at - 1] == "."):
            return found.group()
    return None
