"""Suppressions: is this address to be skipped, for which sending domain, why, until when."""

from collections.abc import Iterable, Sequence
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query, Response
from pydantic import BaseModel, Field

from bouncer.api.fields import Asked, Listed, Moment, PageQuery, SendingDomain, Text, WholeAddress
from bouncer.api.gate import needs
from bouncer.api.paging import cursors
from bouncer.api.problems import answers
from bouncer.api.services import Use
from bouncer.events import SuppressionEntry, SuppressionReason
from bouncer.mail.address import address_key
from bouncer.records import Suppression
from bouncer.store.suppressions import ALL

router = APIRouter(prefix="/v1/suppressions", tags=["suppressions"])

MAX_CHECKED = 1000

# A path may hold any address: the router takes what is left of it, slashes included.
PathAddress = Annotated[Text, Path(description="the address, percent-encoded; in any case")]
ForDomain = Annotated[
    SendingDomain | None, Query(description="for mail of this sending domain; default: of any")
]


class SuppressionAnswer(SuppressionEntry):
    """Why an address is to be skipped: its widest entry, and all of them."""

    entries: tuple[SuppressionEntry, ...] = Field(description="every entry in force")


class SuppressionQuery(PageQuery):
    """Which suppressions."""

    sending_domain: SendingDomain | None = None
    reason: SuppressionReason | None = None


class SuppressionPage(Listed):
    """Suppressions in force."""

    items: list[SuppressionEntry]


class Entry(Asked):
    """What is to be suppressed; `{}` is: by hand, for every sending domain, for good."""

    sending_domain: SendingDomain | None = Field(
        default=None, description="null holds for every sending domain"
    )
    reason: SuppressionReason = SuppressionReason.MANUAL
    until: Moment | None = Field(default=None, description="null: for good")


class NewEntry(Entry):
    """An address and how it is to be suppressed."""

    address: WholeAddress


class Question(Asked):
    """Which of these addresses are to be skipped."""

    addresses: list[Text] = Field(max_length=MAX_CHECKED)
    sending_domain: SendingDomain | None = Field(
        default=None, description="for mail of this sending domain; null: of any"
    )


class Suppressed(BaseModel):
    """Those of the addresses that are to be skipped; the others may be mailed."""

    suppressed: list[SuppressionAnswer]


@router.get("", summary="Suppressions", dependencies=[needs("read")], responses=answers(422))
async def list_suppressions(
    services: Use, query: Annotated[SuppressionQuery, Query()]
) -> SuppressionPage:
    """Those in force, one entry for each address and sending domain, by address."""
    with cursors():
        page = await services.store.suppressions.find(
            query.limit,
            query.cursor,
            sending_domain=query.sending_domain,
            reason=query.reason,
            now=services.clock(),
        )
    return SuppressionPage(items=[found.entry() for found in page.items], next=page.next)


@router.post(
    "",
    summary="Suppress an address",
    dependencies=[needs("write")],
    status_code=201,
    responses={
        200: {"model": SuppressionEntry, "description": "It was suppressed already"},
        **answers(422),
    },
)
async def add_suppression(services: Use, new: NewEntry, response: Response) -> SuppressionEntry:
    """201 for a new entry, 200 for one that was there and is as asked now."""
    return await _put(services, new.address, new, response)


@router.post(
    "/check",
    summary="Which of these addresses to skip",
    dependencies=[needs("read")],
    responses=answers(422),
)
async def check_suppressions(services: Use, question: Question) -> Suppressed:
    """For the moment before sending: up to 1,000 addresses at once."""
    found = await services.store.suppressions.check(
        question.addresses, question.sending_domain, services.clock()
    )
    by_address: dict[str, list[Suppression]] = {}
    for suppression in found:
        by_address.setdefault(suppression.address, []).append(suppression)
    return Suppressed(suppressed=[_answer(entries) for entries in by_address.values()])


@router.get(
    "/{address:path}",
    summary="Whether an address is to be skipped",
    dependencies=[needs("read")],
    responses=answers(404, 422),
)
async def get_suppression(
    services: Use, address: PathAddress, sending_domain: ForDomain = None
) -> SuppressionAnswer:
    """404 when it may be mailed. Otherwise the widest entry answers, with all of them beside it."""
    found = await services.store.suppressions.matching(address, services.clock())
    entries = [s for s in found if sending_domain is None or _holds(s, sending_domain)]
    if not entries:
        raise HTTPException(404, "the address may be mailed")
    return _answer(entries)


@router.put(
    "/{address:path}",
    summary="Suppress this address",
    dependencies=[needs("write")],
    responses={
        201: {"model": SuppressionEntry, "description": "It was not suppressed before"},
        **answers(422),
    },
)
async def put_suppression(
    services: Use,
    address: Annotated[WholeAddress, Path(description="the address, percent-encoded")],
    entry: Entry,
    response: Response,
) -> SuppressionEntry:
    """201 for a new entry, 200 for one that was there and is as asked now."""
    return await _put(services, address, entry, response)


@router.delete(
    "/{address:path}",
    summary="Mail this address again",
    dependencies=[needs("write")],
    status_code=204,
    responses=answers(404, 422),
)
async def delete_suppression(
    services: Use, address: PathAddress, sending_domain: ForDomain = None
) -> Response:
    """Removes every entry of the address, or that of one sending domain. 404: there was none."""
    removed = await services.store.suppressions.remove(
        address, sending_domain if sending_domain is not None else ALL, services.clock()
    )
    if not removed:
        raise HTTPException(404, "there is no such suppression")
    return Response(status_code=204)


async def _put(services: Use, address: str, entry: Entry, response: Response) -> SuppressionEntry:
    now = services.clock()
    if entry.until is not None and entry.until <= now:
        raise HTTPException(422, "until: write a time to come")
    suppression = Suppression(
        address=address_key(address),
        sending_domain=entry.sending_domain,
        reason=entry.reason,
        source="api",
        since=now,
        until=entry.until,
    )
    response.status_code = 201 if await services.store.suppressions.put(suppression) else 200
    kept = await services.store.suppressions.matching(address, now)
    same = [s for s in kept if s.sending_domain == entry.sending_domain]
    return (same[0] if same else suppression).entry()


def _holds(suppression: Suppression, sending_domain: str) -> bool:
    return suppression.sending_domain in (None, sending_domain)


def _answer(entries: Sequence[Suppression]) -> SuppressionAnswer:
    ordered = _widest_first(entries)
    return SuppressionAnswer(
        **ordered[0].entry().model_dump(),
        entries=tuple(s.entry() for s in ordered),
    )


def _widest_first(entries: Iterable[Suppression]) -> list[Suppression]:
    """For every domain before for one, for good before for a time, old before new."""
    return sorted(
        entries,
        key=lambda s: (
            s.sending_domain is not None,
            s.until is not None,
            -s.until.timestamp() if s.until else 0,
            s.since,
        ),
    )
