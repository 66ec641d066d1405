"""Dates as mail writes them (RFC 5322 section 3.3), read into aware UTC."""

import re
from datetime import UTC, datetime, timedelta

_DATE = re.compile(
    r"\s*(?:[A-Za-z]{2,9}\.?,?\s{0,3})?(\d{1,2})[ -]([A-Za-z]{3})[a-z]{0,6}[ -](\d{2,4})[ ,]{1,3}"
    r"(\d{1,2}):(\d{2})(?::(\d{2}))?(?:\.\d{1,9})?"
    r"(?: {0,3}([+-])(\d{2}):?(\d{2})| {1,3}([A-Z]{1,4}))?"
)
# As RFC 5322 and nearly everybody writes it.
_PLAIN = re.compile(
    r"\s*(?:[A-Z][a-z]{2}, {1,2})?(\d{1,2}) ([A-Z][a-z]{2}) (\d{4}) (\d\d:\d\d:[0-5]\d)"
    r" ([+-][01]\d)([0-5]\d)(?![\d:])"
)
_MONTHS = {
    name: number
    for number, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
    )
}
_ZONES = {"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7,
          "CET": 1, "CEST": 2, "BST": 1, "JST": 9, "MSK": 3}  # fmt: skip


def date_from(text: str) -> datetime | None:
    """The moment a date names; None where it names none. An unknown zone is taken as UTC."""
    plain = _PLAIN.match(text)
    if plain is not None:
        return _plain_date(*plain.groups())
    found = _DATE.match(text[:200])
    if found is None:
        return None
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes, zone = found.groups()
    years = int(year) + (0 if len(year) == 4 else 2000 if int(year) < 70 else 1900)
    offset = timedelta(hours=_ZONES.get(zone or "", 0))
    if sign:
        offset = timedelta(hours=int(zone_hours), minutes=int(zone_minutes))
        offset = -offset if sign == "-" else offset
    try:
        local = datetime(
            years, _MONTHS[month.lower()], int(day), int(hour), int(minute),
            min(int(second or 0), 59), tzinfo=UTC,
        )  # fmt: skip
        return local - offset
    except (KeyError, ValueError, OverflowError):
        return None


def _plain_date(
    day: str, month: str, year: str, time: str, zone_hours: str, zone_minutes: str
) -> datetime | None:
    number = _MONTHS.get(month.lower())
    if number is None:
        return None
    iso = f"{year}-{number:02}-{day:0>2}T{time}{zone_hours}:{zone_minutes}"
    try:
        return datetime.fromisoformat(iso).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
