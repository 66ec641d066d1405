"""Dates of mail."""

from datetime import UTC, datetime

import pytest

from bouncer.mail.date import date_from


@pytest.mark.parametrize(
    "written",
    [
        "Tue, 3 Mar 2026 10:15:28 +0100 (CET)",
        "3 Mar 2026 09:15:28 GMT",
        "Tue, 03 Mar 26 04:15:28 EST",
        "Tue,  3-Mar-2026 09:15:28",
        "Tue, 3 March 2026 09:15:28.123 XYZ",
    ],
)
def test_a_date_is_read_into_utc(written: str) -> None:
    assert date_from(written) == datetime(2026, 3, 3, 9, 15, 28, tzinfo=UTC)


@pytest.mark.parametrize("written", ["", "soon", "31 Feb 2026 10:00:00 +0000", "1 Jan 0000 00:00"])
def test_what_is_no_date_is_none(written: str) -> None:
    assert date_from(written) is None
