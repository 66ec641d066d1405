"""Enhanced status codes (RFC 3463): class.subject.detail."""

import re

# Not part of an address or a version: 192.0.2.5.1.1, 4.8.5.36.
STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d]|\.\d)")


def status_in(text: str) -> str | None:
    """The first enhanced status that stands in the text."""
    found = STATUS.search(text)
    return found.group(1) if found else None


def is_unspecific(status: str) -> bool:
    """Whether it says no more than success, later or never: 5.0.0."""
    return status.endswith(".0.0")
