"""One stored message, read and judged: octets in, events out.

Runs in a reader process (`reader.py`) and in `bouncer classify`. No I/O and no clock: the same
octets under the same ruleset give the same events.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from bouncer.classify.providers import OTHER
from bouncer.classify.rules import Ruleset, Verdict
from bouncer.events import MAX_DIAGNOSTIC_BYTES, Event, Source, Trust
from bouncer.mail.address import domain_of
from bouncer.records import MediaType, event_id
from bouncer.reports.read import read
from bouncer.reports.report import Format, Kind, Report, ReportedRecipient
from bouncer.reports.smtp_reply import read_smtp_reply

_UNJUDGED = Verdict(None, None, OTHER, None, None)

# Whose mail carries which return path: bounce domain -> sending domains.
Domains = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Arrival:
    """What is known of a message before it is read.

    `recipient` is the envelope's, or ""; `sender` its reverse-path, None where none is known.
    """

    id: str
    recipient: str
    source: Source
    received_at: datetime
    media_type: MediaType = MediaType.MAIL
    sender: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a message turned out to be."""

    format: Format
    events: tuple[Event, ...]
    defects: tuple[str, ...] = ()


def read_arrival(octets: bytes, arrival: Arrival, domains: Domains, rules: Ruleset) -> Reading:
    """The events of one message: one for each recipient it reports, at least one in all.

    What nobody can read is one event `unrecognised` with a null recipient.
    """
    return reading_of(report_of(octets, arrival, rules), arrival, domains, rules)


def report_of(octets: bytes, arrival: Arrival, rules: Ruleset) -> Report:
    """What the octets say; rules are asked only where no reader knows what to make of them."""
    if arrival.media_type is MediaType.SMTP_REPLY:
        return read_smtp_reply(octets)
    return read(octets, arrival.sender, rules.knows_reasons)


def reading_of(report: Report, arrival: Arrival, domains: Domains, rules: Ruleset) -> Reading:
    """The events of a report: one for each of its recipients, in order."""
    if not report.recipients:
        events: tuple[Event, ...] = (unrecognised(arrival, rules.version, report.defects),)
    else:
        sending_domain = sending_domain_of(arrival.recipient, report.from_domain, domains)
        events = tuple(
            _event(
                reported,
                report,
                rules.judge(report, reported),
                arrival,
                position=position,
                sending_domain=sending_domain,
                ruleset=rules.version,
            )
            for position, reported in enumerate(report.recipients)
        )
    return Reading(report.format, events, report.defects)


def unrecognised(arrival: Arrival, ruleset: str, defects: tuple[str, ...] = ()) -> Event:
    """What is said of a message that could not be read, or was too dangerous to read."""
    return _event(
        ReportedRecipient(Kind.UNRECOGNISED, None),
        Report(Format.UNRECOGNISED, (), defects=defects),
        _UNJUDGED,
        arrival,
        position=0,
        sending_domain=None,
        ruleset=ruleset,
    )


def sending_domain_of(
    envelope_recipient: str, from_domain: str | None, domains: Domains
) -> str | None:
    """Which of our sending domains a report is about; None where that cannot be known.

    The bounce domain it came to says whose it may be, the returned mail's From domain which of
    them. A report that came without an envelope is judged by the From domain alone.
    """
    bounce_domain = domain_of(envelope_recipient) or from_domain or ""
    if bounce_domain in domains:
        candidates = domains[bounce_domain]
        if from_domain in candidates:
            return from_domain
        return candidates[0] if len(candidates) == 1 else None
    if envelope_recipient or not any(from_domain in ours for ours in domains.values()):
        return None
    return from_domain


def _event(
    reported: ReportedRecipient,
    report: Report,
    verdict: Verdict,
    arrival: Arrival,
    *,
    position: int,
    sending_domain: str | None,
    ruleset: str,
) -> Event:
    reply = reported.reply
    return Event.of_ours(
        id=event_id(arrival.id, position),
        kind=reported.kind,
        class_=verdict.class_,
        category=verdict.category,
        fix_owner=verdict.category.fix_owner if verdict.category else None,
        recipient=reported.recipient,
        original_recipient=reported.original_recipient,
        status=reported.believed_status,
        smtp_code=reported.smtp_code,
        diagnostic=_bounded(reply.text) if reply else None,
        vendor_code=verdict.vendor_code,
        provider=verdict.provider,
        action=reported.action,
        reporting_mta=report.reporting_mta,
        remote_mta=reported.remote_mta or (reply.host if reply else None),
        arrival_date=report.arrival_date,
        last_attempt_date=reported.last_attempt_date,
        will_retry_until=reported.will_retry_until,
        sending_domain=sending_domain,
        return_path=arrival.recipient or None,
        envelope_id=report.envelope_id,
        message_id=report.message_id,
        tag=None,
        trust=Trust.UNVERIFIED,
        source=arrival.source,
        format=report.format,
        rule=verdict.rule,
        ruleset=ruleset,
        received_at=arrival.received_at,
        defects=report.defects,
    )


def _bounded(text: str) -> str:
    if len(text) * 4 <= MAX_DIAGNOSTIC_BYTES:
        return text
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= MAX_DIAGNOSTIC_BYTES:
        return text
    return encoded[:MAX_DIAGNOSTIC_BYTES].decode("utf-8", "ignore")
