"""What the store keeps besides events: inbox items, suppressions, listings, deliveries.

Ids derive from what caused the record, so that the same thing twice is one record.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum, auto
from fnmatch import fnmatchcase

from bouncer.events import (
    Event,
    ListingChange,
    ListingState,
    Message,
    Severity,
    Source,
    SuppressionEntry,
    SuppressionReason,
)


class MediaType(StrEnum):
    """What the octets of an inbox item are."""

    MAIL = "message/rfc822"
    SMTP_REPLY = "application/json"


class ItemState(StrEnum):
    """How far an inbox item is."""

    WAITING = "waiting"
    READING = "reading"
    DONE = "done"
    QUARANTINED = "quarantined"
    HUMAN = "human"


class Order(Enum):
    """Which waiting items are claimed. One that was claimed before is a suspect."""

    OLDEST_FIRST = auto()
    FRESH_FIRST = auto()  # a suspect when there are no others
    FRESH_ONLY = auto()


def digest_of(octets: bytes) -> str:
    """SHA-256 of the octets received, dots unstuffed, in hexadecimal."""
    return hashlib.sha256(octets).hexdigest()


def item_id(recipient: str, digest: str) -> str:
    """One inbox item per envelope recipient and content: a sender's retry is the same item.

    The case of the recipient's domain means nothing, that of its local part may (RFC 5321, 2.4).
    """
    local, at, domain = recipient.rpartition("@")
    recipient = f"{local}{at}{domain.lower()}" if at else recipient
    return hashlib.sha256(f"{recipient}\0{digest}".encode("utf-8", "surrogateescape")).hexdigest()[
        :32
    ]


def event_id(item: str, position: int) -> str:
    """The event of the recipient at this position of the item's report."""
    return f"{item}-{position}"


@dataclass(slots=True)  # not frozen: making one would take four times as long
class Received:
    """What a door took for one envelope recipient. `sender` is "" for the null reverse-path."""

    source: Source
    recipient: str
    sender: str
    octets: bytes
    digest: str
    received_at: datetime
    media_type: MediaType = MediaType.MAIL
    peer: str | None = None
    human: bool = False  # to postmaster or abuse: kept for people, not read as a report
    id: str = field(init=False)

    def __post_init__(self) -> None:
        self.id = item_id(self.recipient, self.digest)


@dataclass(frozen=True, slots=True)
class InboxItem:
    """A stored message that a worker has claimed. `claim` fences off one that came too late."""

    id: str
    source: Source
    recipient: str
    sender: str
    octets: bytes
    received_at: datetime
    media_type: MediaType
    peer: str | None
    attempts: int  # times claimed, this one included
    crashes: int  # times a reader died over it while it was read alone
    claim: str


@dataclass(frozen=True, slots=True)
class Suppression:
    """An address that is not to be mailed. `address` is its key (lower case)."""

    address: str
    sending_domain: str | None
    reason: SuppressionReason
    source: str
    since: datetime
    until: datetime | None = None
    events: tuple[str, ...] = ()

    def entry(self) -> SuppressionEntry:
        return SuppressionEntry(
            address=self.address,
            sending_domain=self.sending_domain,
            reason=self.reason,
            source=self.source,
            since=self.since,
            until=self.until,
            events=self.events,
        )


@dataclass(frozen=True, slots=True)
class Listing:
    """A target on a zone. `state` is the last definitive answer; `episode` counts its listings."""

    target: str
    range: str | None
    zone: str
    state: ListingState
    codes: tuple[str, ...]
    meaning: str | None
    severity: Severity
    text: str | None
    lookup_url: str | None
    first_seen: datetime | None  # of the episode; None while it was never listed
    last_seen: datetime | None  # the last definitive answer that listed it
    checked_at: datetime  # the last definitive answer of either kind
    delisted_at: datetime | None = None
    episode: int = 0

    def change(self, *, baseline: bool = False) -> ListingChange:
        return ListingChange(
            target=self.target,
            range=self.range,
            zone=self.zone,
            codes=self.codes,
            meaning=self.meaning,
            severity=self.severity,
            text=self.text,
            lookup_url=self.lookup_url,
            first_seen=self.first_seen or self.checked_at,
            delisted_at=self.delisted_at,
            baseline=baseline,
        )


class DeliveryState(StrEnum):
    """How far a webhook delivery is."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"  # the schedule ran out, or the endpoint is gone


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook to one endpoint. `body` is the exact text that is signed and sent."""

    id: str  # derived from message_id and endpoint
    message_id: str  # the webhook-id header: the same each time
    endpoint: str
    type: str
    body: str
    created_at: datetime
    next_attempt_at: datetime
    state: DeliveryState = DeliveryState.PENDING
    attempts: int = 0
    last_status: int | None = None
    last_error: str | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of one inbox item, stored in one transaction."""

    item: InboxItem
    events: tuple[Event, ...]
    suppressions: tuple[Suppression, ...]
    state: ItemState = ItemState.DONE


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A webhook endpoint and what it wants: shell-style patterns of types, sending domains."""

    name: str
    patterns: tuple[str, ...]
    domains: tuple[str, ...] = ()

    def wants(self, message: Message) -> bool:
        """Whether it is to be told. A message about no one sending domain concerns them all."""
        domain = getattr(message.data, "sending_domain", None)
        return (not self.domains or domain is None or domain in self.domains) and any(
            fnmatchcase(message.type, pattern) for pattern in self.patterns
        )


def deliveries_of(
    message: Message, cause: str, subscribers: tuple[Subscriber, ...]
) -> tuple[Delivery, ...]:
    """One delivery for each subscriber that wants it, its ids derived from the cause."""
    wanting = [subscriber for subscriber in subscribers if subscriber.wants(message)]
    if not wanting:
        return ()
    message_id = "msg_" + hashlib.sha256(f"{message.type}\0{cause}".encode()).hexdigest()[:32]
    body = message.model_dump_json()
    return tuple(
        Delivery(
            id=f"{message_id}.{subscriber.name}",
            message_id=message_id,
            endpoint=subscriber.name,
            type=message.type,
            body=body,
            created_at=message.timestamp,
            next_attempt_at=message.timestamp,
        )
        for subscriber in wanting
    )
