"""Enhanced status codes."""

import pytest

from bouncer.mail.status import status_in


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("5.1.1", "5.1.1"),
        ("5.7.509 (denied)", "5.7.509"),
        ("at 192.0.2.5.1.1 then 4.2.2.", "4.2.2"),
        ("3.1.1 1.2.3 5.1 5..1", None),
    ],
)
def test_a_status_is_found(text: str, status: str | None) -> None:
    assert status_in(text) == status
