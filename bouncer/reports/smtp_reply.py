"""What a sending program was told itself: one SMTP reply as JSON, from POST /v1/reports."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from bouncer.mail.address import clean, domain_of
from bouncer.mail.reply import MAX_TEXT_BYTES, Reply, reply_from
from bouncer.reports.report import Format, Kind, Report, ReportedRecipient

_Short = Annotated[str, Field(max_length=998)]


class SmtpReply(BaseModel):
    """One reply of a remote server to a recipient of ours."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipient: Annotated[str, Field(min_length=1, max_length=320)]
    smtp_reply: Annotated[
        str,
        Field(min_length=1, max_length=MAX_TEXT_BYTES, description="as received, lines and all"),
    ]
    sender: Annotated[_Short | None, Field(description="MAIL FROM or From address")] = None
    remote_mta: _Short | None = None
    occurred_at: AwareDatetime | None = None
    message_id: _Short | None = None


def read_smtp_reply(octets: bytes) -> Report:
    """The report of one JSON object; UNRECOGNISED where it is none of ours."""
    try:
        told = SmtpReply.model_validate_json(octets)
    except ValidationError:
        return Report(Format.UNRECOGNISED, (), defects=("not a reply in JSON",))
    reply = reply_from(told.smtp_reply, host=told.remote_mta)
    return Report(
        format=Format.SMTP_REPLY,
        recipients=(
            ReportedRecipient(
                kind=_kind(reply),
                recipient=clean(told.recipient.strip()) or None,
                status=reply.status if reply else None,
                reply=reply,
                remote_mta=clean(told.remote_mta) if told.remote_mta else None,
                last_attempt_date=told.occurred_at,
            ),
        ),
        message_id=clean(told.message_id.strip("<> ")) or None if told.message_id else None,
        from_domain=domain_of(told.sender.strip("<> ")) if told.sender else None,
    )


def _kind(reply: Reply | None) -> Kind:
    """4xx is a delay, 2xx a delivery, anything else a bounce; the code before the status."""
    said = str(reply.code) if reply and reply.code else (reply.status if reply else None) or "5"
    return {"4": Kind.DELAY, "2": Kind.DELIVERY}.get(said[0], Kind.BOUNCE)
