"""Events: what happened to whom, and the octets that say so."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query, Response
from pydantic import Field

from bouncer.api.fields import Listed, Moment, PageQuery, QueryAddress, SendingDomain, Text
from bouncer.api.gate import needs
from bouncer.api.paging import cursors
from bouncer.api.problems import answers
from bouncer.api.services import Use
from bouncer.classify.category import BounceClass, Category
from bouncer.errors import ReaderDied
from bouncer.events import Event
from bouncer.explaining import Explanation
from bouncer.records import InboxItem, MediaType
from bouncer.reports.report import Kind
from bouncer.store.events import EventFilter

router = APIRouter(prefix="/v1/events", tags=["events"], dependencies=[needs("read")])

EventId = Annotated[Text, Path(description="the event's `id`")]


class EventQuery(PageQuery):
    """Which events; those that meet all of these."""

    recipient: QueryAddress | None = Field(
        default=None, description="recipient or original recipient, in any case"
    )
    sending_domain: SendingDomain | None = None
    kind: Kind | None = None
    class_: BounceClass | None = Field(default=None, alias="class")
    category: Category | None = None
    provider: Text | None = Field(default=None, examples=["google"])
    since: Moment | None = Field(default=None, description="received at this time or later")
    until: Moment | None = Field(default=None, description="received before this time")

    def filter(self) -> EventFilter:
        return EventFilter(
            recipient=self.recipient,
            sending_domain=self.sending_domain,
            kind=self.kind,
            class_=self.class_,
            category=self.category,
            provider=self.provider,
            since=self.since,
            until=self.until,
        )


class EventPage(Listed):
    """Events, newest first."""

    items: list[Event]


@router.get("", summary="Events, newest first", responses=answers(422))
async def list_events(services: Use, query: Annotated[EventQuery, Query()]) -> EventPage:
    """One event for each recipient of each report: bounces, delays, complaints and the rest."""
    with cursors():
        page = await services.store.events.find(query.filter(), query.limit, query.cursor)
    return EventPage(items=page.items, next=page.next)


@router.get("/{id}", summary="One event", responses=answers(404, 422))
async def get_event(services: Use, id: EventId) -> Event:  # noqa: A002 - the name callers see
    """What one report says of one recipient."""
    return await _event(services, id)


@router.get(
    "/{id}/raw",
    summary="The message an event was read from",
    response_class=Response,
    responses={
        200: {
            "description": "The octets as they were received",
            "content": {
                "message/rfc822": {"schema": {"type": "string", "format": "binary"}},
                "application/json": {"schema": {"type": "object"}},
            },
        },
        **answers(404, 410, 422),
    },
)
async def get_raw(services: Use, id: EventId) -> Response:  # noqa: A002 - the name callers see
    """Byte for byte, dots unstuffed, nothing added. 410 once `retention.raw_days` have passed."""
    item = await _item(services, await _event(services, id))
    ending = "json" if item.media_type is MediaType.SMTP_REPLY else "eml"
    return Response(
        item.octets,
        media_type=item.media_type,
        headers={
            "Content-Disposition": f'attachment; filename="report.{ending}"',
            "Content-Security-Policy": "sandbox; default-src 'none'",
        },
    )


@router.get("/{id}/explain", summary="How it was decided", responses=answers(404, 410, 422, 503))
async def explain_event(services: Use, id: EventId) -> Explanation:  # noqa: A002 - as callers see it
    """The message read again: readers asked, fields believed, rules that fitted (the first won).

    By the rules of now: `ruleset` tells whether they are those of the event. 410 once the message
    is not kept any more.
    """
    item = await _item(services, await _event(services, id))
    try:
        return await services.explain(item)
    except ReaderDied as error:
        raise HTTPException(503, "the message is more than a reader process survives") from error


async def _event(services: Use, event: str) -> Event:
    found = await services.store.events.get(event)
    if found is None:
        raise HTTPException(404, "there is no such event")
    return found


async def _item(services: Use, event: Event) -> InboxItem:
    item = await services.store.stored.get(event.id.rpartition("-")[0])
    if item is None:
        raise HTTPException(410, "the message is not kept any more")
    return item
