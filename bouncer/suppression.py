"""Which events suppress an address, and for whom.

A hard bounce and an unsubscribe hold for the sending domain they are about, a complaint for all.
Refusals of us, delays, auto-replies and challenges never suppress.
"""

from bouncer.classify.category import BounceClass
from bouncer.events import Event, SuppressionReason
from bouncer.mail.address import address_key, domain_of
from bouncer.records import Suppression
from bouncer.reports.report import Kind


def suppression_for(event: Event) -> Suppression | None:
    """The suppression that an event calls for; None for nearly all of them.

    Where a server forwarded the mail, the original recipient is the address that the sender holds;
    without a recipient it is what a report says in its place (ARF, redacted).
    `sending_domain` None, where the event does not know it, holds for every domain.
    """
    reason = _reason(event)
    address = _held(event.original_recipient) or _held(event.recipient)
    if reason is None or address is None or event.recipient is None:
        return None
    return Suppression(
        address=address_key(address),
        sending_domain=None if reason is SuppressionReason.COMPLAINT else event.sending_domain,
        reason=reason,
        source="pipeline",
        since=event.received_at,
        events=(event.id,),
    )


def _held(address: str | None) -> str | None:
    """An address that a sender can hold: one with a domain."""
    return address if address and domain_of(address) else None


def _reason(event: Event) -> SuppressionReason | None:
    if event.kind is Kind.BOUNCE and event.class_ is BounceClass.HARD:
        return SuppressionReason.HARD_BOUNCE
    if event.kind is Kind.COMPLAINT:
        return SuppressionReason.COMPLAINT
    if event.kind is Kind.UNSUBSCRIBE:
        return SuppressionReason.UNSUBSCRIBE
    return None
