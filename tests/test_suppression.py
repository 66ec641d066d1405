"""Which events suppress an address, and for whom."""

from datetime import UTC, datetime

import pytest

from bouncer.classify.category import BounceClass
from bouncer.events import Event, Source, SuppressionReason
from bouncer.reports.report import Format, Kind
from bouncer.suppression import suppression_for

AT = datetime(2026, 3, 1, tzinfo=UTC)


def event(
    kind: Kind, class_: BounceClass | None = None, recipient: str | None = "A@b.test"
) -> Event:
    return Event(
        id="i-0",
        kind=kind,
        class_=class_,
        recipient=recipient,
        sending_domain="example.com",
        source=Source.SMTP,
        format=Format.DSN,
        ruleset="r",
        received_at=AT,
    )


def test_a_hard_bounce_suppresses_for_its_sending_domain() -> None:
    found = suppression_for(event(Kind.BOUNCE, BounceClass.HARD))
    assert found is not None
    assert (found.address, found.sending_domain) == ("a@b.test", "example.com")
    assert (found.reason, found.since) == (SuppressionReason.HARD_BOUNCE, AT)


def test_a_complaint_suppresses_for_all() -> None:
    found = suppression_for(event(Kind.COMPLAINT))
    assert found is not None
    assert (found.sending_domain, found.reason) == (None, SuppressionReason.COMPLAINT)


def test_an_unsubscribe_suppresses_for_its_sending_domain() -> None:
    found = suppression_for(event(Kind.UNSUBSCRIBE))
    assert found is not None
    assert (found.sending_domain, found.reason) == ("example.com", SuppressionReason.UNSUBSCRIBE)


@pytest.mark.parametrize(
    ("kind", "class_"),
    [(Kind.BOUNCE, BounceClass.SOFT), (Kind.DELAY, BounceClass.SOFT)]
    + [(k, None) for k in Kind if k not in (Kind.BOUNCE, Kind.COMPLAINT, Kind.UNSUBSCRIBE)],
)
def test_nothing_else_ever_suppresses(kind: Kind, class_: BounceClass | None) -> None:
    assert suppression_for(event(kind, class_)) is None


def test_of_a_forwarded_mail_the_address_that_was_mailed_is_suppressed() -> None:
    forwarded = event(Kind.BOUNCE, BounceClass.HARD, recipient="new@elsewhere.test")
    found = suppression_for(forwarded.model_copy(update={"original_recipient": "old@list.test"}))
    assert found is not None
    assert found.address == "old@list.test"
    found = suppression_for(forwarded.model_copy(update={"original_recipient": "jsmith"}))
    assert found is not None
    assert found.address == "new@elsewhere.test"


def test_a_name_without_a_domain_is_nobodys_address() -> None:
    assert suppression_for(event(Kind.BOUNCE, BounceClass.HARD, recipient="jsmith")) is None


def test_without_a_recipient_there_is_nobody_to_suppress() -> None:
    assert suppression_for(event(Kind.BOUNCE, BounceClass.HARD, recipient=None)) is None
    redacted = event(Kind.COMPLAINT, None, recipient=None)
    told = redacted.model_copy(update={"original_recipient": "redacted@receiver.test"})
    assert suppression_for(told) is None
