"""Suppressions as people write them: arguments of a command, lines of a CSV file.

Judged as the API judges them: an address is whole, a domain is one, an end is to come.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bouncer.api.fields import Asked, Moment, SendingDomain, Text, WholeAddress
from bouncer.events import SuppressionReason
from bouncer.mail.address import address_key
from bouncer.records import Suppression

COLUMNS = ("address", "sending_domain", "reason", "source", "since", "until")
_OTHER_NAMES = {"email": "address"}  # what other services call it
_WITHOUT_HEADER = COLUMNS[:2]


class Written(Asked):
    """An entry; only the address is needed."""

    address: WholeAddress
    sending_domain: SendingDomain | None = None
    reason: SuppressionReason = SuppressionReason.MANUAL
    source: Text = "cli"
    since: Moment | None = None
    until: Moment | None = None


def entry_of(fields: Mapping[str, Any], now: datetime) -> Suppression:
    """The entry that these fields describe, or ValueError with a line for each fault."""
    try:
        written = Written.model_validate({k: v for k, v in fields.items() if v not in (None, "")})
    except ValidationError as error:
        raise ValueError("\n".join(_faults(error))) from error
    if written.until is not None and written.until <= now:
        raise ValueError(f"until: {written.until:%Y-%m-%dT%H:%M:%SZ}: write a time to come")
    return Suppression(
        address=address_key(written.address),
        sending_domain=written.sending_domain,
        reason=written.reason,
        source=written.source,
        since=written.since or now,
        until=written.until,
    )


def read_csv(file: Path, now: datetime) -> tuple[list[Suppression], list[str]]:
    """The entries of a file, and what is wrong with it, by line."""
    entries: list[Suppression] = []
    faults: list[str] = []
    try:
        with file.open(newline="", encoding="utf-8-sig") as text:
            for line, fields in _lines(csv.reader(text)):
                try:
                    entries.append(entry_of(fields, now))
                except ValueError as error:
                    faults += [f"{file}:{line}: {fault}" for fault in str(error).splitlines()]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        faults.append(f"{file}: {getattr(error, 'strerror', None) or error}")
    return entries, faults


def _lines(rows: Any) -> Iterator[tuple[int, dict[str, str]]]:
    """Each line by its number and columns; those of a name that is none of ours left out."""
    names: Sequence[str] | None = None
    for row in rows:
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if names is None:
            header = _names(cells)
            names = header if "address" in header else _WITHOUT_HEADER
            if names is header:
                continue
        found = dict(zip(names, cells, strict=False))
        yield rows.line_num, {c: found.get(c, "") for c in COLUMNS if c in found or c == "address"}


def _names(cells: Iterable[str]) -> list[str]:
    lowered = [cell.lower() for cell in cells]
    return [_OTHER_NAMES.get(name, name) for name in lowered]


def _faults(error: ValidationError) -> Iterator[str]:
    for fault in error.errors():
        field = fault["loc"][0]
        if fault["type"] == "missing":
            yield f"{field}: there is none"
        else:
            yield f"{field}: {fault['input']!r}: {fault['msg'].removeprefix('Value error, ')}"
