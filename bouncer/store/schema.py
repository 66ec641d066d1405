"""The tables, one set for SQLite and PostgreSQL.

A change here needs a migration in `migrations/versions`; a test compares the two. Times are
microseconds since 1970 in UTC: they sort, and are exact, on both databases. Random keys are few on
purpose: on SQLite each of them costs a page of the write-ahead log per row.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

EVERY_DOMAIN = ""  # suppressions.sending_domain: a primary key cannot be null


def microseconds(moment: datetime) -> int:
    """An aware time as it is stored."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(value: int) -> datetime:
    """A stored time, aware and in UTC."""
    return _EPOCH + timedelta(microseconds=value)


class Moment(TypeDecorator[datetime]):
    """An aware time; microseconds since 1970."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else microseconds(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        return None if value is None else moment(value)


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

contents = Table(
    "contents",
    metadata,
    Column("digest", Text, primary_key=True),
    # When it last came: expiry must not take what a new item has just come to share.
    Column("received_at", Moment, nullable=False),
    Column("octets", LargeBinary, nullable=False),
    Index("ix_contents_received_at", "received_at"),
)

# No foreign key to contents: octets leave earlier than the id, which goes on telling duplicates.
inbox = Table(
    "inbox",
    metadata,
    Column("id", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("peer", Text),
    Column("received_at", Moment, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("crashes", Integer, nullable=False),
    Column("claim", Text),
    Column("claimed_until", Moment),
    Column("finished_at", Moment),
    Index("ix_inbox_state", "state", "received_at"),
)

events = Table(
    "events",
    metadata,
    Column("id", Text, primary_key=True),
    Column("received_at", Moment, nullable=False),
    Column("kind", Text, nullable=False),
    Column("class", Text, key="class_"),
    Column("category", Text),
    Column("provider", Text, nullable=False),
    Column("sending_domain", Text),
    Column("recipient_key", Text),
    Column("original_recipient_key", Text),  # null where it is the same
    Column("suppressed_address", Text),  # whom it suppressed, and
    Column("suppression_reason", Text),  # why: the evidence of that suppression
    Column("data", Text, nullable=False),  # the whole event, as published (JSON)
    Index("ix_events_received_at", "received_at", "id"),
    Index("ix_events_recipient_key", "recipient_key", "received_at"),
    Index(
        "ix_events_original_recipient_key",
        "original_recipient_key",
        "received_at",
        sqlite_where=Column("original_recipient_key").is_not(None),
        postgresql_where=Column("original_recipient_key").is_not(None),
    ),
    Index("ix_events_kind", "kind", "received_at", "id"),
    Index("ix_events_category", "category", "received_at", "id"),
    Index("ix_events_provider", "provider", "received_at", "id"),
    Index("ix_events_sending_domain", "sending_domain", "received_at", "id"),
    Index(
        "ix_events_suppressed_address",
        "suppressed_address",
        "received_at",
        sqlite_where=Column("suppressed_address").is_not(None),
        postgresql_where=Column("suppressed_address").is_not(None),
    ),
)

# What events said before a replay amended them.
event_versions = Table(
    "event_versions",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("version", Integer, primary_key=True),  # from 1, as it was stored first
    Column("received_at", Moment, nullable=False),
    Column("replaced_at", Moment, nullable=False),
    Column("ruleset", Text, nullable=False),
    Column("replaced_by", Text, nullable=False),  # the ruleset that read it otherwise
    Column("sending_domain", Text),
    Column("suppressed_address", Text),
    Column("suppression_reason", Text),
    Column("data", Text, nullable=False),
    Index("ix_event_versions_received_at", "received_at"),
    Index(
        "ix_event_versions_suppressed_address",
        "suppressed_address",
        sqlite_where=Column("suppressed_address").is_not(None),
        postgresql_where=Column("suppressed_address").is_not(None),
    ),
)

suppressions = Table(
    "suppressions",
    metadata,
    Column("address", Text, primary_key=True),
    Column("sending_domain", Text, primary_key=True),  # EVERY_DOMAIN holds for all
    Column("reason", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("since", Moment, nullable=False),
    Column("until", Moment),
    Index("ix_suppressions_reason", "reason", "until"),
)

listings = Table(
    "listings",
    metadata,
    Column("target", Text, primary_key=True),
    Column("zone", Text, primary_key=True),
    Column("range", Text),
    Column("state", Text, nullable=False),
    Column("codes", Text, nullable=False),  # a JSON array
    Column("meaning", Text),
    Column("severity", Text, nullable=False),
    Column("text", Text),
    Column("lookup_url", Text),
    Column("first_seen", Moment),
    Column("last_seen", Moment),
    Column("checked_at", Moment, nullable=False),
    Column("delisted_at", Moment),
    Column("episode", Integer, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("message_id", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("next_attempt_at", Moment, nullable=False),
    Column("claimed_until", Moment),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("last_status", Integer),
    Column("last_error", Text),
    Column("finished_at", Moment),
    Index("ix_deliveries_created_at", "created_at", "id"),
    Index("ix_deliveries_due", "state", "endpoint", "next_attempt_at"),
)

# One row, written to learn whether the store can be written.
probes = Table(
    "probes",
    metadata,
    Column("name", Text, primary_key=True),
    Column("written_at", Moment, nullable=False),
)
