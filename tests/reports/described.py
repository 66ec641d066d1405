"""A report as plain data, as the expected `.json` of a sample has it."""

import dataclasses
from datetime import datetime

from bouncer.reports.report import Report


def described(report: Report) -> dict[str, object]:
    """What the report says; what it does not say is left out."""
    plain = _plain(dataclasses.asdict(report))
    assert isinstance(plain, dict)
    return plain


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items() if item not in (None, ())}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value
