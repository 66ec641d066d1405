"""How a message came to be judged: which reader, which fields believed, which rules fitted."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from bouncer.classify.category import BounceClass, Category
from bouncer.classify.rules import Explanation as Judged
from bouncer.classify.rules import Rule, Ruleset
from bouncer.events import Event
from bouncer.mail.address import address_from_field
from bouncer.mail.message import Message
from bouncer.mail.reply import Command
from bouncer.mail.status import status_in
from bouncer.reading import Arrival, Domains, reading_of, report_of
from bouncer.records import MediaType
from bouncer.reports import dsn
from bouncer.reports.read import READERS
from bouncer.reports.report import Format, ReportedRecipient


class Explained(BaseModel):
    """Part of an explanation."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True)


class FieldSaid(Explained):
    """A field of the delivery status, and whether the event says what it says."""

    name: str
    value: str
    believed: bool


class Evidence(Explained):
    """Where status and reply code come from. Null is what the message does not say."""

    status_field: str | None = Field(description="the Status field of the delivery status")
    reply: str | None = Field(description="the remote server's words")
    reply_status: str | None = Field(description="the enhanced status in those words")
    reply_code: int | None
    reply_host: str | None
    reply_command: Command | None = Field(description="the SMTP command that was refused")
    believed_status: str | None
    because: str = Field(description="why that status was believed")
    words_from: str | None = Field(description="where the words stand: a field, or the prose")
    around: str | None = Field(
        description="what was judged instead: what the words stand in, or the rest of the report"
    )
    provider_by: str = Field(description="what the provider was recognised by")
    fields: tuple[FieldSaid, ...] = Field(
        description="recipient, status and words as the delivery status has them"
    )


class FittingRule(Explained):
    """A rule that fitted, in the order of trying: the first one decided."""

    id: str
    decided: bool
    category: Category
    class_: Annotated[BounceClass | None, Field(alias="class")] = Field(
        description="where the rule overrides it"
    )
    pattern: str | None
    status: tuple[str, ...]
    code: tuple[str, ...]
    command: tuple[Command, ...]
    file: str
    source: str
    reason: str | None


class ExplainedEvent(Explained):
    """One event, and what led to it."""

    event: Event
    evidence: Evidence
    rules: tuple[FittingRule, ...]


class Explanation(Explained):
    """One message, step by step."""

    readers: tuple[str, ...] = Field(description="readers asked, in order: the last one took it")
    format: Format
    defects: tuple[str, ...]
    ruleset: str
    events: tuple[ExplainedEvent, ...]


def explain_arrival(
    octets: bytes, arrival: Arrival, domains: Domains, rules: Ruleset
) -> Explanation:
    """The events that `read_arrival` gives, with what led to each."""
    report = report_of(octets, arrival, rules)
    reading = reading_of(report, arrival, domains, rules)
    is_dsn = reading.format is Format.DSN
    groups = dsn.fields_by_recipient(Message(octets)) if is_dsn else {}
    return Explanation(
        readers=_readers_asked(octets, arrival, reading.format),
        format=reading.format,
        defects=reading.defects,
        ruleset=rules.version,
        events=tuple(
            _explained(event, reported, groups, rules.explain(report, reported))
            for event, reported in zip(reading.events, report.recipients, strict=False)
        ),
    )


def _explained(
    event: Event,
    reported: ReportedRecipient,
    groups: Mapping[str | None, dsn.Group],
    judged: Judged,
) -> ExplainedEvent:
    fields = _fields(groups.get(reported.recipient, {}), reported)
    return ExplainedEvent(
        event=event,
        evidence=_evidence(reported, fields, judged),
        rules=tuple(
            _fitting(rule, decided=number == 0) for number, rule in enumerate(judged.fitting)
        ),
    )


def _fields(group: dsn.Group, reported: ReportedRecipient) -> tuple[FieldSaid, ...]:
    said = []
    for name in (*dsn.ADDRESSES, "status", *dsn.WORDS):
        value = group.get(name)
        if value is None:
            continue
        if name in dsn.ADDRESSES:
            believed = address_from_field(value) in (
                reported.recipient,
                reported.original_recipient,
            )
        elif name == "status":
            believed = status_in(value) == reported.believed_status
        else:
            words = dsn.words_in(value)
            believed = bool(words and reported.reply and words.text == reported.reply.text)
        said.append(FieldSaid(name=name, value=" ".join(value.split()), believed=believed))
    return tuple(said)


def _readers_asked(octets: bytes, arrival: Arrival, found: Format) -> tuple[str, ...]:
    if arrival.media_type is MediaType.SMTP_REPLY:
        return ("smtp_reply",)
    message, asked = Message(octets, arrival.sender), []
    for reader in READERS:
        asked.append(reader.__module__.rpartition(".")[2] + "." + reader.__name__)
        if reader(message) is not None:
            break
    else:
        asked.append("nobody" if found is Format.UNRECOGNISED else "freetext.guess")
    return tuple(asked)


def _evidence(
    reported: ReportedRecipient, fields: tuple[FieldSaid, ...], judged: Judged
) -> Evidence:
    reply = reported.reply
    in_field = (f.name for f in fields if f.name in dsn.WORDS and f.believed)
    return Evidence(
        status_field=reported.status,
        reply=reply.text if reply else None,
        reply_status=reply.status if reply else None,
        reply_code=reported.smtp_code,
        reply_host=reply.host if reply else None,
        reply_command=reply.command if reply else None,
        believed_status=reported.believed_status,
        because=_because(reported),
        words_from=next(in_field, "the part for people") if reply else None,
        around=judged.around or None,
        provider_by=judged.provider_by,
        fields=fields,
    )


def _because(reported: ReportedRecipient) -> str:
    quoted = reported.reply.status if reported.reply else None
    believed = reported.believed_status
    if believed is None:
        return "the message has no enhanced status"
    if reported.reply is None:
        return "the Status field; no words of a server are quoted"
    if quoted is None:
        return "the Status field; the server's words have no enhanced status"
    if reported.status is None:
        return "the server's words; there is no Status field"
    if quoted == reported.status:
        return "the Status field and the server's words agree"
    if believed == quoted:
        return "the server's words, over a Status field that the reporting MTA filled in"
    return "the Status field: the server's words say no more than its class"


def _fitting(rule: Rule, *, decided: bool) -> FittingRule:
    return FittingRule(
        id=rule.id,
        decided=decided,
        category=rule.category,
        class_=rule.class_,
        pattern=rule.pattern,
        status=rule.status,
        code=rule.code,
        command=rule.command,
        file=rule.file.name,
        source=rule.source,
        reason=rule.reason,
    )
