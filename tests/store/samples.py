"""Records that the store's tests put in."""

from datetime import UTC, datetime, timedelta

from bouncer.classify.category import BounceClass, Category
from bouncer.events import Event, ListingState, Severity, Source, SuppressionReason
from bouncer.records import (
    Finished,
    InboxItem,
    ItemState,
    Listing,
    Order,
    Received,
    Subscriber,
    Suppression,
    digest_of,
    event_id,
)
from bouncer.reports.report import Format, Kind
from bouncer.store.store import Store

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
LEASE = timedelta(seconds=60)
EVERYTHING = (Subscriber("ops", ("*",)),)


def received(
    octets: bytes = b"a report\r\n",
    *,
    recipient: str = "bounce@bounces.example.com",
    at: datetime = NOW,
    human: bool = False,
) -> Received:
    return Received(
        source=Source.SMTP,
        recipient=recipient,
        sender="",
        octets=octets,
        digest=digest_of(octets),
        received_at=at,
        peer="192.0.2.1",
        human=human,
    )


def many(count: int, *, at: datetime = NOW) -> list[Received]:
    """Different messages, a millisecond apart."""
    return [received(b"report %d\r\n" % n, at=at + timedelta(milliseconds=n)) for n in range(count)]


def event(
    id_: str,
    recipient: str | None = "Dead@example.org",
    *,
    at: datetime = NOW,
    sending_domain: str | None = "example.com",
    kind: Kind = Kind.BOUNCE,
    class_: BounceClass | None = BounceClass.HARD,
    category: Category | None = Category.RECIPIENT_UNKNOWN,
    provider: str = "other",
    diagnostic: str | None = "550 5.1.1 No such user",
    original_recipient: str | None = None,
) -> Event:
    return Event(
        id=id_,
        kind=kind,
        class_=class_,
        category=category,
        recipient=recipient,
        original_recipient=original_recipient,
        diagnostic=diagnostic,
        provider=provider,
        sending_domain=sending_domain,
        source=Source.SMTP,
        format=Format.DSN,
        ruleset="test",
        received_at=at,
    )


def suppression(
    address: str = "dead@example.org",
    *,
    sending_domain: str | None = "example.com",
    reason: SuppressionReason = SuppressionReason.HARD_BOUNCE,
    since: datetime = NOW,
    until: datetime | None = None,
    events: tuple[str, ...] = (),
) -> Suppression:
    return Suppression(address, sending_domain, reason, "pipeline", since, until, events)


def listing(
    target: str = "192.0.2.10",
    *,
    state: ListingState = ListingState.LISTED,
    episode: int = 1,
    at: datetime = NOW,
) -> Listing:
    return Listing(
        target=target,
        range=None,
        zone="list.example.org",
        state=state,
        codes=("127.0.0.2",),
        meaning="spam source",
        severity=Severity.MAJOR,
        text=None,
        lookup_url=None,
        first_seen=at,
        last_seen=at,
        checked_at=at,
        episode=episode,
    )


async def claimed(
    store: Store,
    limit: int = 100,
    *,
    now: datetime = NOW,
    max_octets: int = 10**9,
    order: Order = Order.OLDEST_FIRST,
) -> list[InboxItem]:
    return await store.inbox.claim(limit, max_octets, LEASE, now, order)


def hard_bounce(
    item: InboxItem, recipient: str = "Dead@example.org", sending_domain: str | None = "example.com"
) -> Finished:
    """What the pipeline makes of the bounce of a dead address."""
    made = event(
        event_id(item.id, 0), recipient, at=item.received_at, sending_domain=sending_domain
    )
    entry = suppression(
        recipient.lower(),
        sending_domain=sending_domain,
        since=item.received_at,
        events=(made.id,),
    )
    return Finished(item, (made,), (entry,), ItemState.DONE)
