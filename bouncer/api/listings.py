"""Blocklists: what is listed, since when, how to get off; and a look on request."""

import asyncio
import ipaddress
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field

from bouncer.api.fields import Asked, Listed, PageQuery, Text
from bouncer.api.gate import needs
from bouncer.api.paging import cursors
from bouncer.api.problems import answers
from bouncer.api.services import Use
from bouncer.config import Domain
from bouncer.errors import ConfigurationError
from bouncer.events import ListingEntry, ListingState, Severity
from bouncer.records import Listing

router = APIRouter(prefix="/v1/dnsbl", tags=["blocklists"])

MAX_CHECKED = 32
_STALE_INTERVALS = 3
_CHECK_SECONDS = 60.0


class ListingQuery(PageQuery):
    """Which listings."""

    target: Text | None = Field(default=None, examples=["192.0.2.10"])
    zone: Domain | None = Field(default=None, max_length=253, examples=["zen.spamhaus.org"])
    state: ListingState | None = Field(
        default=None, description="default: what is listed now, and what was"
    )


class ListingPage(Listed):
    """Targets that are, or were, on a blocklist."""

    items: list[ListingEntry]


class CheckRequest(Asked):
    """What to look up on every configured zone, now."""

    targets: list[Text] = Field(
        min_length=1,
        max_length=MAX_CHECKED,
        description="IPv4 and IPv6 addresses, small ranges, domains",
        examples=[["192.0.2.10", "example.com"]],
    )


class Checked(BaseModel):
    """What one zone says of one target; `unknown` is no answer that could be believed."""

    model_config = ConfigDict(from_attributes=True)

    target: str
    range: str | None = Field(description="the CIDR it was asked with")
    zone: str
    state: ListingState
    codes: list[str] = Field(description="A records of the answer (RFC 5782)")
    meaning: str | None
    severity: Severity | None
    text: str | None = Field(description="the zone's TXT record")
    lookup_url: str | None = Field(description="where the operator says more")
    reason: str | None = Field(description="why the answer is unknown")


class CheckAnswer(BaseModel):
    """One item for each target and zone."""

    items: list[Checked]


@router.get("/listings", summary="Listings", dependencies=[needs("read")], responses=answers(422))
async def list_listings(services: Use, query: Annotated[ListingQuery, Query()]) -> ListingPage:
    """What the zones last said of the configured targets, where they ever listed them.

    `state` is `unknown` where a zone has given no definite answer for three intervals.
    """
    stale_before = services.clock() - _STALE_INTERVALS * services.config.dnsbl.interval
    target = _canonical(query.target) if query.target else None
    # Staleness is a matter of the clock, not of the store: what it calls unknown is sifted here.
    state = None if query.state is ListingState.UNKNOWN else query.state
    items: list[ListingEntry] = []
    cursor = query.cursor
    while True:
        with cursors():
            page = await services.store.listings.find(
                query.limit - len(items), cursor, target=target, zone=query.zone, state=state
            )
        entries = [_entry(found, stale_before) for found in page.items if found.first_seen]
        items += [e for e in entries if query.state is None or e.state is query.state]
        cursor = page.next
        if cursor is None or len(items) >= query.limit:
            return ListingPage(items=items, next=cursor)


@router.post(
    "/check",
    summary="Look targets up now",
    dependencies=[needs("write")],
    responses=answers(422, 503, 504),
)
async def check_targets(services: Use, request: Request, asked: CheckRequest) -> CheckAnswer:
    """Asks every configured zone once. Nothing is stored and nobody is told.

    One at a time, because zones count how often they are asked; 503 while another one runs.
    """
    one_at_a_time: asyncio.Lock = request.app.state.checking
    if one_at_a_time.locked():
        raise HTTPException(503, "another check is running", headers={"Retry-After": "5"})
    try:
        async with one_at_a_time, asyncio.timeout(_CHECK_SECONDS):
            results = await services.check_dnsbl(asked.targets)
    except TimeoutError as error:
        raise HTTPException(504, "the zones did not answer in time: ask for less") from error
    except ConfigurationError as error:
        faults = [
            {"type": "value_error", "loc": ("body", "targets"), "ctx": {"error": fault}}
            for fault in error.faults
        ]
        raise RequestValidationError(faults) from error
    return CheckAnswer(items=[Checked.model_validate(result) for result in results])


def _entry(listing: Listing, stale_before: datetime) -> ListingEntry:
    assert listing.first_seen is not None  # noqa: S101 - those without were left out
    return ListingEntry(
        target=listing.target,
        range=listing.range,
        zone=listing.zone,
        codes=listing.codes,
        meaning=listing.meaning,
        severity=listing.severity,
        text=listing.text,
        lookup_url=listing.lookup_url,
        first_seen=listing.first_seen,
        last_seen=listing.last_seen,
        delisted_at=listing.delisted_at,
        state=ListingState.UNKNOWN if listing.checked_at < stale_before else listing.state,
    )


def _canonical(target: str) -> str:
    try:
        return str(ipaddress.ip_address(target.strip()))
    except ValueError:
        return target.strip().lower().rstrip(".")
