"""Enhanced status codes (RFC 3463): class.subject.detail."""

import re

# One that goes on from a digit or a dot is part of an IP address or a version: 192.0.2.5.
_STATUS = re.compile(r"(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?!\d|\.\d)")


def status_in(text: str, start: int = 0) -> str | None:
    """The first enhanced status that stands in the text from `start` on."""
    found = _STATUS.search(text, start)
    return found.group() if found is not None else None
