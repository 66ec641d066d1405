"""Webhook deliveries: what was sent, what was not, and another try."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query
from pydantic import AwareDatetime, BaseModel, Field

from bouncer.api.fields import Listed, PageQuery, Text
from bouncer.api.gate import needs
from bouncer.api.paging import cursors
from bouncer.api.problems import answers
from bouncer.api.services import Use
from bouncer.records import Delivery, DeliveryState

router = APIRouter(prefix="/v1/webhooks/deliveries", tags=["webhooks"])


class DeliveryQuery(PageQuery):
    """Which deliveries."""

    endpoint: Text | None = Field(default=None, description="the webhook's name", examples=["ops"])
    state: DeliveryState | None = None


class DeliveryEntry(BaseModel):
    """One message to one endpoint."""

    id: str
    message_id: str = Field(description="the webhook-id header, the same in every attempt")
    endpoint: str
    type: str = Field(examples=["bounce.hard"])
    state: DeliveryState
    attempts: int
    created_at: AwareDatetime
    next_attempt_at: AwareDatetime | None = Field(description="null when there is none to come")
    last_status: int | None = Field(description="the endpoint's last HTTP status")
    last_error: str | None
    finished_at: AwareDatetime | None


class DeliveryPage(Listed):
    """Deliveries, newest first."""

    items: list[DeliveryEntry]


class Retried(BaseModel):
    """A delivery that will be tried now."""

    id: str
    next_attempt_at: AwareDatetime


@router.get("", summary="Deliveries", dependencies=[needs("read")], responses=answers(422))
async def list_deliveries(services: Use, query: Annotated[DeliveryQuery, Query()]) -> DeliveryPage:
    """What became of each message to each endpoint."""
    with cursors():
        page = await services.store.outbox.find(
            query.limit, query.cursor, endpoint=query.endpoint, state=query.state
        )
    return DeliveryPage(items=[entry_of(found) for found in page.items], next=page.next)


@router.post(
    "/{id}/retry",
    summary="Try a delivery again now",
    dependencies=[needs("admin")],
    status_code=202,
    responses=answers(404, 422),
)
async def retry_delivery(
    services: Use,
    id: Annotated[Text, Path(description="the delivery's `id`")],  # noqa: A002 - callers see it
) -> Retried:
    """Starts its schedule anew, also for one that was given up. Its webhook-id stays."""
    now = services.clock()
    if not await services.store.outbox.retry(id, now):
        raise HTTPException(404, "there is no such delivery")
    return Retried(id=id, next_attempt_at=now)


def entry_of(delivery: Delivery) -> DeliveryEntry:
    """A delivery as it is shown."""
    pending = delivery.state is DeliveryState.PENDING
    return DeliveryEntry(
        id=delivery.id,
        message_id=delivery.message_id,
        endpoint=delivery.endpoint,
        type=delivery.type,
        state=delivery.state,
        attempts=delivery.attempts,
        created_at=delivery.created_at,
        next_attempt_at=delivery.next_attempt_at if pending else None,
        last_status=delivery.last_status,
        last_error=delivery.last_error,
        finished_at=delivery.finished_at,
    )
