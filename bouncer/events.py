"""Every event we publish: the vocabulary of the API, the webhooks, the store and the metrics.

`Event` is what happened to one recipient. A `Message` is what a webhook carries; `TYPES` lists them
all, and docs/events.md is made from it. Fields follow RFC 3464 where it has a word for them.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from bouncer.classify.category import BounceClass, Category, FixOwner
from bouncer.reports.report import Format, Kind

MAX_DIAGNOSTIC_BYTES = 8192


class Trust(StrEnum):
    """How sure we are that the report is about a mail of ours."""

    SIGNED = "signed"
    MATCHED = "matched"
    UNVERIFIED = "unverified"


class Source(StrEnum):
    """The door a report came through; `duplicate` is a label of metrics only."""

    SMTP = "smtp"
    API = "api"
    FILE = "file"


class Published(BaseModel):
    """What others read: frozen, and written under the names of the contract (`class`)."""

    model_config = ConfigDict(
        frozen=True, populate_by_name=True, serialize_by_alias=True, extra="forbid"
    )


class Event(Published):
    """What one report says of one recipient. None is unknown or not applicable, never a guess."""

    id: str = Field(description="derived from what arrived: the same report twice has the same id")
    kind: Kind
    class_: Annotated[BounceClass | None, Field(alias="class")] = None
    category: Category | None = None
    fix_owner: FixOwner | None = None
    recipient: str | None = None
    original_recipient: str | None = None
    status: str | None = Field(default=None, description="enhanced status (RFC 3463), as written")
    smtp_code: int | None = Field(default=None, description="reply code (RFC 5321), as written")
    diagnostic: str | None = Field(default=None, description="the remote server's words, unfolded")
    vendor_code: str | None = None
    provider: str = "other"
    action: str | None = None
    reporting_mta: str | None = None
    remote_mta: str | None = None
    arrival_date: AwareDatetime | None = None
    last_attempt_date: AwareDatetime | None = None
    will_retry_until: AwareDatetime | None = None
    sending_domain: str | None = None
    return_path: str | None = Field(
        default=None, description="the envelope recipient of the report"
    )
    envelope_id: str | None = None
    message_id: str | None = None
    tag: str | None = None
    trust: Trust = Trust.UNVERIFIED
    source: Source
    format: Format
    rule: str | None = None
    ruleset: str
    received_at: AwareDatetime
    defects: tuple[str, ...] = ()

    @classmethod
    def of_ours(cls, **values: Any) -> Self:
        """An event of values that need no validation: every field must be given.

        What `model_construct` does, at a sixth of its cost: it looks for aliases and defaults.
        """
        event = cls.__new__(cls)
        set_ = object.__setattr__
        set_(event, "__dict__", values)
        set_(event, "__pydantic_fields_set__", _EVENT_FIELDS)
        set_(event, "__pydantic_extra__", None)
        set_(event, "__pydantic_private__", None)
        return event


_EVENT_FIELDS = set(Event.model_fields)  # shared: events are frozen, and copies copy it


class SuppressionReason(StrEnum):
    """Why an address is not to be mailed."""

    HARD_BOUNCE = "hard_bounce"
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"
    MANUAL = "manual"


class SuppressionEntry(Published):
    """An address that is not to be mailed; `sending_domain` None holds for every domain."""

    address: str
    sending_domain: str | None = None
    reason: SuppressionReason
    source: str = Field(description="what added it: pipeline, api or cli")
    since: AwareDatetime
    until: AwareDatetime | None = None
    events: tuple[str, ...] = Field(default=(), description="ids of the events that say so")


class Severity(StrEnum):
    """What a listing means for a sender."""

    CRITICAL = "critical"
    MAJOR = "major"
    MINOR = "minor"
    INFORMATIONAL = "informational"


class ListingState(StrEnum):
    """What a zone says of a target; `unknown` is never an alert."""

    LISTED = "listed"
    CLEAR = "clear"
    UNKNOWN = "unknown"


class ListingEntry(Published):
    """A target on a blocklist: one episode, from the first sight to the delisting."""

    target: str = Field(description="the address or domain that was asked for")
    range: str | None = Field(default=None, description="the configured CIDR it belongs to")
    zone: str
    codes: tuple[str, ...] = Field(description="A records of the answer (RFC 5782)")
    meaning: str | None = None
    severity: Severity
    text: str | None = Field(default=None, description="the zone's TXT record")
    lookup_url: str | None = None
    first_seen: AwareDatetime
    last_seen: AwareDatetime | None = None
    delisted_at: AwareDatetime | None = None
    state: ListingState = ListingState.LISTED


class ListingChange(Published):
    """`data` of the dnsbl types."""

    target: str
    range: str | None = None
    zone: str
    codes: tuple[str, ...]
    meaning: str | None
    severity: Severity
    text: str | None
    lookup_url: str | None
    first_seen: AwareDatetime
    delisted_at: AwareDatetime | None = None
    baseline: bool = Field(
        default=False, description="listed already when the target was first looked at"
    )


class WebhookTest(Published):
    """`data` of webhook.test."""

    endpoint: str


class Message(Published):
    """The body of a webhook (Standard Webhooks): type, timestamp, data."""

    type: str
    timestamp: AwareDatetime
    data: Event | SuppressionEntry | ListingChange | WebhookTest


class BounceHard(Message):
    """An address will not work again."""

    type: Literal["bounce.hard"] = "bounce.hard"
    data: Event


class BounceSoft(Message):
    """A mail was not delivered, but the address is or may be alive."""

    type: Literal["bounce.soft"] = "bounce.soft"
    data: Event


class BounceDelayed(Message):
    """A mail is late and still being tried."""

    type: Literal["bounce.delayed"] = "bounce.delayed"
    data: Event


class ComplaintReceived(Message):
    """A recipient called a mail spam."""

    type: Literal["complaint.received"] = "complaint.received"
    data: Event


class UnsubscribeReceived(Message):
    """A recipient wants no more of it."""

    type: Literal["unsubscribe.received"] = "unsubscribe.received"
    data: Event


class SuppressionAdded(Message):
    """An address is not to be mailed from now on."""

    type: Literal["suppression.added"] = "suppression.added"
    data: SuppressionEntry


class SuppressionRemoved(Message):
    """An address may be mailed again."""

    type: Literal["suppression.removed"] = "suppression.removed"
    data: SuppressionEntry


class DnsblListed(Message):
    """A target appeared on a blocklist."""

    type: Literal["dnsbl.listed"] = "dnsbl.listed"
    data: ListingChange


class DnsblDelisted(Message):
    """A target left a blocklist."""

    type: Literal["dnsbl.delisted"] = "dnsbl.delisted"
    data: ListingChange


class TestMessage(Message):
    """Sent on request, to try an endpoint."""

    type: Literal["webhook.test"] = "webhook.test"
    data: WebhookTest


TYPES: tuple[type[Message], ...] = (
    BounceHard,
    BounceSoft,
    BounceDelayed,
    ComplaintReceived,
    UnsubscribeReceived,
    SuppressionAdded,
    SuppressionRemoved,
    DnsblListed,
    DnsblDelisted,
    TestMessage,
)


def message_for(event: Event, now: datetime) -> Message | None:
    """What a webhook says of an event; None for the kinds that nobody is told of."""
    match event.kind:
        case Kind.BOUNCE if event.class_ is BounceClass.HARD:
            return BounceHard(timestamp=now, data=event)
        case Kind.BOUNCE:
            return BounceSoft(timestamp=now, data=event)
        case Kind.DELAY:
            return BounceDelayed(timestamp=now, data=event)
        case Kind.COMPLAINT:
            return ComplaintReceived(timestamp=now, data=event)
        case Kind.UNSUBSCRIBE:
            return UnsubscribeReceived(timestamp=now, data=event)
        case _:
            return None
