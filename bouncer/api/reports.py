"""Reports by HTTP: one more door to the inbox, with the same promise as SMTP's 250.

A 202 means: on disk. Nothing is parsed here beyond what tells the two kinds of body apart; the
pipeline reads what was stored.
"""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError, field_validator

from bouncer.api.fields import Asked, Moment, QueryAddress, clean
from bouncer.api.gate import needs
from bouncer.api.problems import answers
from bouncer.api.services import Services, Use
from bouncer.events import Source
from bouncer.mail.reply import reply_from
from bouncer.records import MediaType, Received, digest_of
from bouncer.reports.smtp_reply import SmtpReply

router = APIRouter(prefix="/v1/reports", tags=["reports"])

MAX_REPLIES = 1000
_MAIL = ("message/rfc822", "message/global")
_EXAMPLE = """\
Return-Path: <>
From: Mail Delivery System <MAILER-DAEMON@mx.example.com>
To: <bounce@bounces.example.com>
Content-Type: multipart/report; report-type=delivery-status; boundary="b"
...
"""


class ReportedReply(SmtpReply):
    """A reply as this door takes it: text that can be stored, a time that says its zone."""

    occurred_at: Moment | None = Field(
        default=None,
        description="without it the same reply again is the same report, whenever it was given",
    )

    @field_validator("recipient", "smtp_reply", "sender", "remote_mta", "message_id")
    @classmethod
    def _storable(cls, value: str | None) -> str | None:
        return value if value is None else clean(value)

    @field_validator("smtp_reply")
    @classmethod
    def _a_reply(cls, value: str) -> str:
        reply = reply_from(value)
        if reply is None or (reply.code is None and reply.status is None):
            raise ValueError('write the reply with its code, such as "550 5.1.1 no such user"')
        return value


class SmtpReplies(Asked):
    """Refusals that a sending program saw itself."""

    reports: list[ReportedReply] = Field(min_length=1, max_length=MAX_REPLIES)


class Accepted(BaseModel):
    """Stored. The events of a report have its id followed by -0, -1, ..."""

    id: str


class AcceptedMany(BaseModel):
    """Stored. The event of a reply has its id followed by -0."""

    ids: list[str]


_REQUEST_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "message/rfc822": {
            "schema": {"type": "string", "format": "binary"},
            "example": _EXAMPLE,
        },
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["reports"],
                "additionalProperties": False,
                "properties": {
                    "reports": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": MAX_REPLIES,
                        "items": ReportedReply.model_json_schema(),
                    }
                },
            },
            "example": {
                "reports": [
                    {
                        "recipient": "user@example.com",
                        "smtp_reply": "550 5.1.1 <user@example.com>: no such user",
                        "sender": "news@example.org",
                        "remote_mta": "mx.example.com",
                        "occurred_at": "2026-03-01T12:00:00Z",
                        "message_id": "<1@example.org>",
                    }
                ]
            },
        },
    },
}


@router.post(
    "",
    summary="Hand in a report",
    dependencies=[needs("write")],
    status_code=202,
    responses=answers(408, 413, 415, 422),
    openapi_extra={"requestBody": _REQUEST_BODY},
)
async def post_reports(
    request: Request,
    services: Use,
    recipient: Annotated[
        QueryAddress | None,
        Query(description="with message/rfc822: the envelope recipient of the report"),
    ] = None,
) -> Accepted | AcceptedMany:
    """A whole message (`message/rfc822`), or the replies a sending program got itself (JSON).

    Read like mail that came by SMTP, a moment later. The same again is stored once, and answered
    with the same id.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in (*_MAIL, "application/json"):
        raise HTTPException(415, "write Content-Type: message/rfc822 or application/json")
    body = await request.body()
    peer = request.client.host if request.client else None
    if media_type in _MAIL:
        if not body:
            raise HTTPException(422, "the message is empty")
        ids = await _store(services, [_message(services, body, recipient or "", peer)])
        return Accepted(id=ids[0])
    # A thousand replies of 8 KiB take a while to look at.
    replies = await asyncio.to_thread(_replies, services, body, peer)
    return AcceptedMany(ids=await _store(services, replies))


def _message(services: Services, octets: bytes, recipient: str, peer: str | None) -> Received:
    return Received(
        source=Source.API,
        recipient=recipient,
        sender="",
        octets=octets,
        digest=digest_of(octets),
        received_at=services.clock(),
        peer=peer,
    )


def _replies(services: Services, body: bytes, peer: str | None) -> list[Received]:
    try:
        replies = SmtpReplies.model_validate_json(body).reports
    except ValidationError as error:
        faults = [{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors()]
        raise RequestValidationError(faults) from error
    now = services.clock()
    items = []
    for reply in replies:
        # Nothing of ours in it, such as the time: sent again it has to be the same item.
        octets = reply.model_dump_json(exclude_none=True).encode()
        items.append(
            Received(
                source=Source.API,
                recipient="",
                sender="",
                octets=octets,
                digest=digest_of(octets),
                received_at=now,
                media_type=MediaType.SMTP_REPLY,
                peer=peer,
            )
        )
    return items


async def _store(services: Services, items: Sequence[Received]) -> list[str]:
    for new in await services.store.inbox.receive(items):
        services.metrics.messages_received.labels(source="api" if new else "duplicate").inc()
    return [item.id for item in items]
