"""What a message's explanation costs, and that it is of the events."""

from datetime import UTC, datetime

import pytest

from bouncer.classify import rules
from bouncer.events import Source
from bouncer.explaining import explain_arrival
from bouncer.reading import Arrival
from bouncer.reports import dsn
from tests.letters import bounce

ARRIVAL = Arrival("b" * 32, "", Source.FILE, datetime(2026, 3, 1, tzinfo=UTC))


def test_the_fields_are_read_once_however_many_recipients_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = 0
    collect = dsn._collect

    def counting(text: str, groups: dsn._Groups) -> None:
        nonlocal read
        read += 1
        collect(text, groups)

    monkeypatch.setattr(dsn, "_collect", counting)
    ruleset = rules.load()
    counts = []
    for size in (1, 20):
        recipients = [f"r{number}@receiver.example" for number in range(size)]
        read = 0
        told = explain_arrival(bounce("5.1.1 no such user", *recipients), ARRIVAL, {}, ruleset)
        assert [e.event.recipient for e in told.events] == recipients
        for event, recipient in zip(told.events, recipients, strict=True):
            assert event.evidence.fields[0].value == f"rfc822; {recipient}"
        counts.append(read)
    assert counts[0] == counts[1]
